// The edge page.

import assert from 'node:assert/strict';
import { DOCS, HOSTILE, SHOP } from '../coverage.mjs';

const rows = (page) => page.locator('a.row');
const param = (page, name) => page.evaluate((key) => new URLSearchParams(location.search).get(key), name);
/** A range in a year whose answers have a mood, see test/server.mjs. */
const year = (number) => `?start=${Date.UTC(number, 5, 1)}&end=${Date.UTC(number, 5, 2)}`;

async function openEdge({ open, url }, search = '', options) {
  const page = await open(options);
  await page.goto(`${url}/edge${search}`);
  await rows(page).first().waitFor();
  return page;
}

/** Names in the order of the rows. */
const names = (page) => rows(page).evaluateAll((all) => all.map((row) => row.innerText.trim()));

/** Drags across the first chart, from one part of its width to another. */
async function drag(page, from, to) {
  const box = await page.locator('.u-over').first().boundingBox();
  await page.mouse.move(box.x + box.width * from, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * to, box.y + 40, { steps: 4 });
  await page.mouse.up();
}

export const edgeTests = [
  ['edge: from the frame to numbers, bars and charts', async ({ open, url }) => {
    const page = await open();
    await page.goto(url);
    await page.getByRole('navigation').getByRole('link', { name: 'Edge' }).click();
    await rows(page).first().waitFor();
    assert.deepEqual(await names(page), [SHOP, '/assets/*', '* (default)', '/api/*', DOCS, 'behaviour not logged', HOSTILE]);
    const api = page.getByRole('row').filter({ has: page.getByRole('link', { name: '/api/*', exact: true }) });
    const words = (await api.innerText()).replaceAll(/\s+/g, ' ');
    const [number, share] = ['[\\d,.]+', '[\\d.]+ %'];
    const results = `Miss ${share}, Error ${share}, … Miss ${share}, Error ${share}, Hit ${share}, Limit exceeded ${share}`;
    assert.match(words, new RegExp(`^/api/\\* ${number} ${number}/s ${share} ${results} 100 % 0 0 0 ${number} ${number} s / ${number} s ${number} ms / ${number} s ${number} of ${number}$`));
    assert.equal(await page.getByRole('img', { name: /over time, All distributions/ }).count(), 4);
    assert.equal(await page.locator('canvas').count(), 4);
    await page.getByText('2 distributions').waitFor();
  }],

  ['edge: findings come first, with what to check and examples', async (context) => {
    const page = await openEdge(context);
    const findings = page.getByRole('region', { name: 'Findings' }).getByRole('listitem');
    assert.equal(await findings.count(), 3);
    assert.match(await findings.nth(0).innerText(), new RegExp(`^Sampled misses without a span from the back end: [\\d,]+ of [\\d,]+ at /api/\\* of ${SHOP}`));
    assert.match(await findings.nth(0).innerText(), /First let traceparent and tracestate through .* For example [0-9a-f]{8}…, [0-9a-f]{8}…$/);
    assert.match(await findings.nth(1).innerText(), new RegExp(`derived from the request id: [\\d,]+ of [\\d,]+ at ${DOCS} · [\\d,]+ of [\\d,]+ at /<img .* of ${DOCS}`), 'places with the same advice are together');
    await page.getByRole('button', { name: 'Show 1 more' }).click();
    assert.match(await findings.nth(3).innerText(), /Records left out, because nothing in them tells which trace they belong to/);
    await findings.nth(1).getByRole('link', { name: DOCS, exact: true }).click();
    await page.getByRole('heading', { name: 'behaviour not logged' }).waitFor();
    assert.equal(await param(page, 'behaviour'), '');
    await findings.nth(0).getByRole('link', { name: `Example trace ${context.traces.failing.id}` }).click();
    await page.waitForURL(new RegExp(`/trace/${context.traces.failing.id}`));
  }],

  ['edge: a row shows its charts, a click and a drag choose a time, the links lead to its traces', async (context) => {
    const page = await openEdge(context);
    await page.getByRole('link', { name: '/api/*', exact: true }).click();
    await page.getByRole('heading', { name: '/api/*' }).waitFor();
    await page.getByRole('img', { name: /^Records by result over time, \/api\/\*: Hit [\d,]+, Miss [\d,]+/ }).waitFor();
    assert.equal(await page.locator('tr.selected').count(), 1);

    const box = await page.locator('.u-over').first().boundingBox();
    await page.mouse.click(box.x + box.width * 0.5, box.y + 30);
    await page.waitForFunction(() => new URLSearchParams(location.search).has('from'));
    assert.equal(Number(await param(page, 'to')) - Number(await param(page, 'from')), 60_000, 'a click chooses a step');
    assert.equal(Number(await param(page, 'from')) % 60_000, 0);

    await drag(page, 0.3, 0.6);
    await page.waitForFunction(() => Number(new URLSearchParams(location.search).get('to')) - Number(new URLSearchParams(location.search).get('from')) > 600_000);
    const [from, to] = [Number(await param(page, 'from')), Number(await param(page, 'to'))];
    assert.equal((to - from) % 60_000, 0, 'whole steps');
    const stretch = page.getByRole('group', { name: 'Traces of a time' });
    assert.match(await stretch.innerText(), /\d\d:\d\d – \d\d:\d\d\s+[\d,]+ records, [\d,]+ errors, [\d,]+ misses without a back end/);
    const href = new URL(await stretch.getByRole('link', { name: 'Errors' }).getAttribute('href'), 'http://h');
    assert.equal(href.searchParams.get('q'), '{ instrumentation:name = "rootspan/cloudfront" && span.aws.cloudfront.distribution_domain = "d111111abcdef8.cloudfront.net" && span.aws.cloudfront.cache_behavior = "/api/*" && status = error }');
    assert.deepEqual([href.searchParams.get('start'), href.searchParams.get('end')], [String(from), String(to)]);
    await stretch.getByRole('link', { name: 'Errors' }).click();
    await page.getByRole('combobox', { name: 'Query in TraceQL' }).waitFor();
    await page.goBack();
    await page.getByRole('heading', { name: '/api/*' }).waitFor();
    assert.equal(await param(page, 'from'), String(from));
  }],

  ['edge: the keyboard reaches rows, sorting, times and their traces', async (context) => {
    const page = await openEdge(context);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('j');
    assert.equal(await page.evaluate(() => document.activeElement.innerText.trim()), '/assets/*');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: '/assets/*' }).waitFor();
    await page.getByRole('button', { name: 'Earlier' }).press('Enter');
    await page.waitForFunction(() => new URLSearchParams(location.search).has('from'));
    const last = Number(await param(page, 'from'));
    await page.getByRole('button', { name: 'Earlier' }).press('Enter');
    await page.waitForFunction((before) => Number(new URLSearchParams(location.search).get('from')) === before - 60_000, last);
    await page.getByRole('button', { name: 'Clear' }).press('Enter');
    await page.getByRole('button', { name: 'List of times' }).press('Enter');
    const list = page.getByRole('region', { name: 'Times with records, newest first' });
    const links = list.getByRole('link');
    assert.ok((await links.count()) > 50);
    assert.match(await links.first().getAttribute('href'), /cache_behavior\+%3D\+%22%2Fassets%2F\*%22/);
    await page.getByRole('columnheader', { name: 'Errors' }).last().getByRole('button').press('Enter');
    await page.waitForFunction(() => new URLSearchParams(location.search).get('sort') === '-errors');
    assert.equal(await page.locator('th[aria-sort=descending]').innerText(), 'Errors');
    assert.deepEqual((await names(page)).slice(0, 3), [DOCS, HOSTILE, 'behaviour not logged']);
    await page.keyboard.press('?');
    await page.getByRole('dialog').getByText('Next row of the table').waitFor();
  }],

  ['edge: on a small screen a row that is chosen brings its charts into sight', async (context) => {
    const page = await openEdge(context, '', { width: 390, height: 844 });
    await page.getByRole('link', { name: HOSTILE, exact: true }).click();
    const heading = page.getByRole('heading', { name: HOSTILE });
    await heading.waitFor();
    await page.waitForFunction((name) => {
      const { top, bottom } = [...document.querySelectorAll('h2')].find((one) => one.innerText === name).getBoundingClientRect();
      return top >= 0 && bottom <= innerHeight;
    }, HOSTILE);
  }],

  ['edge: the address brings everything back', async (context) => {
    const page = await openEdge(context);
    await page.getByRole('button', { name: `Behaviours of ${DOCS}` }).click();
    await page.getByRole('link', { name: '* (default)', exact: true }).click();
    await page.getByLabel('Charts in the rows').selectOption('delay');
    await page.getByRole('columnheader', { name: 'Distribution' }).getByRole('button').click();
    await drag(page, 0.2, 0.5);
    await page.getByRole('button', { name: 'List of times' }).click();
    await page.waitForFunction(() => ['distribution', 'behaviour', 'metric', 'sort', 'from', 'to', 'list', 'closed'].every((name) => new URLSearchParams(location.search).has(name)));
    const before = [await names(page), await page.getByRole('group', { name: 'Traces of a time' }).innerText()];
    await page.reload();
    await rows(page).first().waitFor();
    assert.deepEqual([await names(page), await page.getByRole('group', { name: 'Traces of a time' }).innerText()], before);
    assert.equal((await names(page)).at(-1), DOCS, 'its behaviours are still hidden');
    await page.getByRole('navigation').getByRole('link', { name: 'Search' }).click();
    await page.getByRole('navigation').getByRole('link', { name: 'Edge' }).click();
    await page.getByRole('heading', { name: '* (default)' }).waitFor();
  }],

  ['edge: nothing there, an error, a long wait, an incomplete answer', async ({ open, url }) => {
    const page = await open();
    await page.goto(`${url}/edge${year(2001)}`);
    await page.getByText('No CloudFront records in this time range.').waitFor();
    await page.getByText('rootspan import FOLDER').waitFor();
    await page.getByText('receivers.cloudfront').waitFor();
    await page.goto(`${url}/edge${year(2002)}`);
    await page.getByRole('alert').getByText('The counts could not be read').waitFor();
    await page.getByRole('button', { name: 'Try again' }).waitFor();
    await page.goto(`${url}/edge${year(2003)}`);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Ask again' }).waitFor();
    await page.goto(`${url}/edge?range=all`);
    await rows(page).first().waitFor();
    await page.getByText('steps of 1 h').waitFor();
    await page.goto(`${url}/edge?range=3d`);
    await page.getByText('Incomplete: Records from before Tuesday').waitFor();
    await page.goto(`${url}/edge?distribution=gone.example.com`);
    await page.getByText('No records of it in this time range.').waitFor();
  }],

  ['edge: live asks again and keeps what is chosen', async (context) => {
    const page = await openEdge(context);
    await page.getByRole('link', { name: '/api/*', exact: true }).click();
    await page.getByRole('button', { name: 'Live' }).click();
    await page.waitForFunction(() => location.search.includes('live=1') && location.search.includes('behaviour='));
    const again = await page.waitForResponse(/\/edge\/coverage\?/, { timeout: 15_000 });
    assert.equal(again.status(), 200);
    await page.getByRole('heading', { name: '/api/*' }).waitFor();
  }],

  ['edge: hostile names stay text', async (context) => {
    const page = await openEdge(context);
    await page.getByRole('link', { name: HOSTILE, exact: true }).click();
    await page.getByRole('heading', { name: HOSTILE }).waitFor();
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.equal(await page.locator('main img').count(), 0);
  }],
];
