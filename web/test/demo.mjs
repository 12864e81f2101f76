// What a person does against a running rootspan with the demo's traffic: asks the search page for queries of the database,
// opens the first trace whose edge span is there and follows the request CDN → upstream → downstream → database in the
// waterfall; then looks at the coverage of the edge and goes from a minute of it to its traces. Saves the screenshots for
// the README and docs/edge.md on the way.
//
//   node test/demo.mjs http://127.0.0.1:16686 [folder for screenshots]

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, openPage } from './browser.mjs';

const [url = 'http://127.0.0.1:16686', folder = fileURLToPath(new URL('./screenshots/', import.meta.url))] = process.argv.slice(2);
/** A page: its answer waits for the database, so everything lies on the critical path. */
const QUERY = '{ resource.service.name = "downstream" && name = "SELECT products" }';
/** How the labels of the rows begin, from the edge to the database. */
const WAY = ['cloudfront, ', 'upstream, ', 'downstream, ', 'downstream, SELECT products'];
/** Traffic may have begun a moment ago, and the edge's logs come last. */
const PATIENCE_MILLIS = 60_000;
/** Services send their spans in batches, seconds apart. */
const ARRIVAL_MILLIS = 10_000;

/** Types the query and asks until a row has its edge span; the edge's part of a trace comes after the rest. */
async function searchForPage(page) {
  const line = page.getByRole('combobox', { name: 'Query in TraceQL' });
  await line.fill(QUERY);
  const until = Date.now() + PATIENCE_MILLIS;
  while (Date.now() < until) {
    const answer = page.waitForResponse(/\/api\/v1\/search\?/);
    await line.press('Enter');
    await answer;
    const row = page.locator('tbody tr').filter({ hasText: 'cloudfront' }).filter({ hasNotText: 'edge span not yet delivered' }).first();
    try {
      await row.waitFor({ timeout: 1_000 });
      return row;
    } catch {
      // Not yet: a person would press Enter again.
    }
  }
  throw new Error(`no row of ${QUERY} with its edge span within ${PATIENCE_MILLIS / 1000} s`);
}

/** The labels of the rows in the waterfall, from top to bottom. */
async function rowLabels(page) {
  const rows = page.getByRole('treegrid').getByRole('row');
  await rows.first().waitFor();
  // Frames: the rows in sight follow the size of the page.
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  return rows.evaluateAll((all) => all.map((row) => row.getAttribute('aria-label')));
}

/** The part of the request's way that is not there, one row after another; undefined when all of it is. */
function missingOf(labels) {
  let from = 0;
  return WAY.find((start) => {
    const place = labels.findIndex((label, i) => i >= from && label.startsWith(start));
    from = place + 1;
    return place === -1;
  });
}

/** Sees the whole way; a trace opened a moment after its request may still be without one service: then reloads. */
async function seeWay(page) {
  const until = Date.now() + ARRIVAL_MILLIS;
  let labels = await rowLabels(page);
  while (missingOf(labels) !== undefined && Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await page.reload();
    labels = await rowLabels(page);
  }
  assert.equal(missingOf(labels), undefined, `in this order in\n${labels.join('\n')}`);
}

/** The whole way in one size and theme; returns the address of the trace. */
async function follow(page, suffix) {
  await page.goto(url);
  const row = await searchForPage(page);
  await row.click();
  await page.waitForURL(/\/trace\/[0-9a-f]{32}/);
  await seeWay(page);
  assert.ok((await page.getByRole('img', { name: 'database' }).count()) > 0, 'a database span');
  // Away from the row that was clicked: nothing is marked below it.
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(folder, `trace-${suffix}.png`) });
  const trace = page.url();
  await page.goto(url);
  await page.locator('a.row').first().waitFor();
  await page.screenshot({ path: join(folder, `search-${suffix}.png`) });
  return trace;
}

/** The coverage of all behaviours, then of one; from its newest minute to the traces in Search. */
async function lookAtEdge(page, suffix) {
  await page.goto(`${url}/edge`);
  const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: '/products/*', exact: true }) });
  await row.waitFor();
  await page.locator('canvas').nth(3).waitFor();
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(folder, `edge-${suffix}.png`) });
  // The row is its link, over all of its width; on a small screen other things may lie over its middle.
  await row.getByRole('link').press('Enter');
  await page.getByRole('img', { name: /^Records by result over time, \/products\/\*: .*Miss [\d,]+/ }).waitFor();
  await page.getByRole('button', { name: 'List of times' }).press('Enter');
  const times = page.getByRole('region', { name: 'Times with records, newest first' }).getByRole('row');
  const records = Number((await times.nth(1).getByRole('cell').nth(1).innerText()).replace(',', ''));
  assert.ok(records > 0, 'records in the newest minute');
  await times.nth(1).getByRole('link').press('Enter');
  await page.waitForURL(/q=/);
  await page.locator('a.row').first().waitFor();
  const names = await page.locator('a.row').evaluateAll((all) => all.map((link) => link.innerText));
  assert.ok(names.every((name) => /cloudfront\s+(GET|HEAD) \/products\/\*/.test(name)), `only that behaviour: ${names.join(', ')}`);
}

await mkdir(folder, { recursive: true });
const browser = await launch();
try {
  for (const [width, height] of [[1440, 900], [390, 844]]) {
    for (const theme of ['light', 'dark']) {
      const { page, problems, close } = await openPage(browser, new URL(url).origin, { width, height, theme });
      const trace = await follow(page, `${width}-${theme}`);
      await lookAtEdge(page, `${width}-${theme}`);
      assert.deepEqual(problems, []);
      await close();
      console.log(`${width} px, ${theme}: CDN → upstream → downstream → database in ${trace}`);
    }
  }
  console.log(`screenshots in ${folder}`);
} finally {
  await browser.close();
}
