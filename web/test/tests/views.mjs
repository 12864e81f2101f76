// Every view in both themes and two widths: nothing for axe to find, and a screenshot to look at.

import { AxeBuilder } from '@axe-core/playwright';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SHOP } from '../coverage.mjs';

const SIZES = { 1440: 900, 390: 844 };

/** Name, path for the traces, what to do before looking. */
const VIEWS = [
  ['search', () => '/', async (page) => page.locator('a.row').first().waitFor()],
  ['search-error', () => `/?q=${encodeURIComponent('{ resource.service.name == "upstream" }')}`, async (page) => page.locator('mark').waitFor()],
  ['search-empty', () => `/?q=${encodeURIComponent('{ resource.service.name = "nobody" }')}`, async (page) => page.getByText('No trace matches').waitFor()],
  ['search-completion', () => '/', async (page) => {
    await page.locator('a.row').first().waitFor();
    await page.getByRole('combobox', { name: 'Query in TraceQL' }).fill('{ span.http.');
    await page.keyboard.press('ArrowDown');
  }],
  ['trace', (traces) => `/trace/${traces.failing.id}`, async (page) => page.getByRole('row').first().waitFor()],
  ['trace-span', (traces) => `/trace/${traces.failing.id}`, async (page) => {
    await page.getByRole('row', { name: /^downstream, POST \/orders/ }).click();
    await page.getByText('Stack trace').click();
  }],
  ['trace-shifted', (traces) => `/trace/${traces.skewed.id}`, async (page) => {
    await page.getByRole('row', { name: /^downstream, POST \/orders/ }).click();
    await page.getByText('Received a second time').waitFor();
  }],
  ['trace-zoomed', (traces) => `/trace/${traces.good.id}?from=240000000&to=700000000&find=orders`, async (page) => page.getByRole('row').first().waitFor()],
  ['trace-large', (traces) => `/trace/${traces.large.id}`, async (page) => {
    await page.getByRole('row').nth(5).waitFor();
    await page.keyboard.press('e');
    await page.getByText('deadlock').waitFor();
  }],
  ['trace-hostile', (traces) => `/trace/${traces.hostile.id}`, async (page) => {
    await page.getByRole('row').first().click();
    await page.getByText('Show all 20 kB').waitFor();
  }],
  ['edge', () => '/edge', async (page) => page.locator('a.row').first().waitFor()],
  ['edge-behaviour', () => `/edge?list=1&metric=delay&sort=-errors&distribution=${SHOP}&behaviour=${encodeURIComponent('/api/*')}`, async (page) => {
    await page.locator('a.row').first().waitFor();
    const box = await page.locator('.u-over').first().boundingBox();
    await page.mouse.click(box.x + box.width * 0.62, box.y + 40);
    await page.getByRole('button', { name: 'Clear' }).waitFor();
  }],
  ['edge-empty', () => '/edge?start=991353600000&end=991440000000', async (page) => page.getByText('No CloudFront records').waitFor()],
  ['trace-derived', (traces) => `/trace/${traces.derived.id}`, async (page) => {
    await page.getByRole('row').first().click();
    await page.getByText('cannot be joined').first().waitFor();
  }],
  ['shortcuts', (traces) => `/trace/${traces.good.id}`, async (page) => {
    await page.getByRole('row').first().waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
  }],
];

function viewTest(name, path, prepare, width, theme) {
  return [`view: ${name}, ${width} px, ${theme}`, async ({ open, url, traces, screenshots }) => {
    const page = await open({ width, height: SIZES[width], theme });
    await page.goto(url + path(traces));
    await prepare(page);
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    await mkdir(screenshots, { recursive: true });
    await page.screenshot({ path: join(screenshots, `${name}-${width}-${theme}.png`) });
    const { violations } = await new AxeBuilder({ page }).analyze();
    const found = violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.slice(0, 4).map((n) => `  ${n.html.slice(0, 200)}\n  ${n.failureSummary}`).join('\n')}`);
    if (found.length > 0) throw new Error(found.join('\n'));
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) throw new Error(`the page is ${wide} px wider than the window`);
  }];
}

export const viewTests = VIEWS.flatMap(([name, path, prepare]) =>
  Object.keys(SIZES).flatMap((width) => ['light', 'dark'].map((theme) => viewTest(name, path, prepare, Number(width), theme))),
);
