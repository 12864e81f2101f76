// The trace page.

import assert from 'node:assert/strict';

const grid = (page) => page.getByRole('treegrid');
const active = (page) => page.evaluate(() => document.getElementById(document.querySelector('[role=treegrid]').getAttribute('aria-activedescendant'))?.getAttribute('aria-label') ?? '');

async function openTrace({ open, url }, trace, options) {
  const page = await open(options);
  await page.goto(`${url}/trace/${trace.id}`);
  await grid(page).waitFor();
  return page;
}

/** Presses keys one after another and returns the label of the active row. */
async function press(page, ...keys) {
  for (const key of keys) await page.keyboard.press(key);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  return active(page);
}

export const traceTests = [
  ['trace: header, rows, gap, fold and summary', async (context) => {
    const page = await openTrace(context, context.traces.failing);
    const header = await page.locator('main header').first().innerText();
    for (const part of ['GET /checkout', '1.24 s', '19 spans', '5 services', '4 errors']) assert.ok(header.includes(part), part);
    const labels = await grid(page).getByRole('row').evaluateAll((all) => all.map((row) => row.getAttribute('aria-label')));
    assert.equal(labels[0], 'cloudfront, GET /checkout, starts at 0 ms, 1.24 s, error, on the critical path');
    assert.equal(labels[1], 'edge → origin, 18 ms, on the critical path');
    assert.ok(labels.some((label) => label.includes('8 similar spans')));
    const summary = await page.getByRole('complementary').innerText();
    assert.match(summary, /downstream database\s*510 ms\s*41\.1 %/);
    await page.getByText('The failure began in downstream').waitFor();
    await page.getByRole('button', { name: 'Show span' }).click();
    assert.match(await active(page), /downstream, POST \/orders/);
  }],

  ['trace: the rows of the treegrid say where they are', async (context) => {
    const page = await openTrace(context, context.traces.failing);
    const rows = grid(page).getByRole('row');
    assert.equal(await grid(page).getAttribute('aria-rowcount'), String(await rows.count()));
    const attributes = await rows.nth(2).evaluate((row) => ['level', 'expanded', 'setsize', 'posinset', 'rowindex'].map((name) => row.getAttribute(`aria-${name}`)));
    assert.deepEqual(attributes, ['2', 'true', '1', '1', '3']);
  }],

  ['trace: keyboard', async (context) => {
    const page = await openTrace(context, context.traces.failing);
    await grid(page).focus();
    assert.match(await press(page, 'ArrowDown'), /^cloudfront/);
    assert.match(await press(page, 'ArrowDown'), /^edge → origin/);
    assert.match(await press(page, 'f'), /^nginx/);
    assert.match(await press(page, 'ArrowRight'), /^upstream, POST/);
    assert.match(await press(page, 'ArrowLeft', 'ArrowLeft'), /^nginx/, 'closes, then goes to the parent');
    assert.match(await press(page, 'End'), /INSERT outbox|upstream/);
    assert.match(await press(page, 'Home'), /^cloudfront/);
    assert.match(await press(page, ']', 'e'), /error/);
    await press(page, 'c');
    assert.ok(!(await grid(page).getByRole('row').allInnerTexts()).some((text) => text.includes('session.load')), 'critical path only');
    await press(page, 'c', 'Control+ArrowUp', 'd');
    await page.waitForFunction(() => new URLSearchParams(location.search).has('from'));
    await press(page, '[');
    assert.ok((await grid(page).getByRole('row').count()) <= 3, 'all closed');
    await press(page, 'Escape', 'Escape', 'Escape');
    await page.waitForFunction(() => !location.search.includes('from'));
  }],

  ['trace: folds open and close', async (context) => {
    const page = await openTrace(context, context.traces.good);
    const before = await grid(page).getByRole('row').count();
    await page.getByText('×8').click();
    await page.getByText('8 similar spans of upstream').waitFor();
    await page.getByRole('button', { name: 'Show each' }).click();
    assert.equal(await grid(page).getByRole('row').count(), before + 8);
    await page.waitForFunction(() => location.search.includes('open='));
    await page.reload();
    await grid(page).getByText('×8').click();
    assert.equal(await grid(page).getByRole('row').count(), before + 8, 'still open after a reload');
    await page.keyboard.press('ArrowLeft');
    await page.waitForFunction((count) => document.querySelectorAll('[role=row]').length === count, before);
  }],

  ['trace: span details, exception, filter, add to the query', async (context) => {
    const page = await openTrace(context, context.traces.failing);
    await grid(page).getByRole('row', { name: /^downstream, POST \/orders/ }).click();
    const panel = page.getByRole('complementary');
    await panel.getByText('java.net.SocketTimeoutException').first().waitFor();
    await panel.getByText('Stack trace').click();
    await panel.getByText('PaymentClient.authorize').waitFor();
    await panel.getByLabel('Filter attributes').fill('route');
    assert.equal(await panel.locator('dt.mono').count(), 1);
    await panel.locator('.pair').hover();
    await panel.getByRole('link', { name: 'Add http.route to the query' }).click();
    await page.waitForFunction(() => new URLSearchParams(location.search).get('q') === '{ span.http.route = "/orders" }');
  }],

  ['trace: the address brings back selection, zoom and what is closed', async (context) => {
    const page = await openTrace(context, context.traces.good);
    await grid(page).getByRole('row', { name: /^nginx/ }).click();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('+');
    await page.waitForFunction(() => ['span', 'from', 'closed'].every((name) => new URLSearchParams(location.search).has(name)));
    const rows = await grid(page).getByRole('row').count();
    await page.reload();
    await grid(page).waitFor();
    assert.equal(await grid(page).getByRole('row').count(), rows);
    assert.match(await active(page), /^nginx/);
    await page.getByRole('button', { name: /^Show all of/ }).waitFor();
  }],

  ['trace: zoom by brush, wheel and back', async (context) => {
    const page = await openTrace(context, context.traces.good);
    const box = await page.locator('.minimap').boundingBox();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 20, { steps: 4 });
    await page.mouse.up();
    const all = page.getByRole('button', { name: /^Show all of/ });
    await all.waitFor();
    await all.click();
    await all.waitFor({ state: 'detached' });
    const bars = await grid(page).boundingBox();
    await page.mouse.move(bars.x + bars.width * 0.7, bars.y + 60);
    await page.keyboard.down('Control');
    await page.mouse.wheel(0, -300);
    await page.keyboard.up('Control');
    await all.waitFor();
  }],

  ['trace: search inside', async (context) => {
    const page = await openTrace(context, context.traces.good);
    await page.keyboard.press('/');
    await page.keyboard.type('select');
    await page.getByText('9 matches').waitFor();
    await page.keyboard.press('Enter');
    assert.match(await active(page), /SELECT cart_items/);
    await page.keyboard.press('Shift+Enter');
    assert.match(await active(page), /SELECT orders/);
  }],

  ['trace: shifted clocks, conflicts and missing parents are said', async (context) => {
    const page = await openTrace(context, context.traces.skewed);
    await page.getByText('1 span names a parent that was not received').waitFor();
    const row = grid(page).getByRole('row', { name: /^downstream, POST \/orders/ });
    const shifted = await row.getAttribute('aria-label');
    await page.getByRole('button', { name: 'Raw times' }).click();
    assert.notEqual(await row.getAttribute('aria-label'), shifted);
    await page.waitForFunction(() => location.search.includes('clock=raw'));
    await row.click();
    await page.getByText('Received a second time with other content').waitFor();
    await page.getByText('/orders/{id}').waitFor();
  }],

  ['trace: links lead to the other trace, the id is copied', async (context) => {
    const page = await openTrace(context, context.traces.failing);
    await page.getByRole('button', { name: 'Copy the trace id' }).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), context.traces.failing.id);
    await grid(page).getByRole('row', { name: /^upstream, send order-events/ }).click();
    await page.getByRole('link', { name: /…\// }).click();
    await page.waitForURL(new RegExp(context.traces.good.id));
  }],

  ['trace: hostile names stay text', async (context) => {
    const page = await openTrace(context, context.traces.hostile);
    await grid(page).getByRole('row').first().click();
    await page.getByRole('complementary').getByText('Show all 20 kB').click();
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.equal(await page.locator('main img, main script').count(), 0);
    assert.ok((await page.getByRole('complementary').innerText()).includes('<img src=x onerror='));
  }],

  ['trace: live asks again and keeps what is shown', async (context) => {
    const page = await openTrace(context, context.traces.good);
    await grid(page).getByRole('row', { name: /^nginx/ }).click();
    await page.getByRole('button', { name: 'Live' }).click();
    const again = await page.waitForResponse(/\/view$/, { timeout: 15_000 });
    assert.equal(again.status(), 200);
    assert.match(await active(page), /^nginx/);
    await page.waitForFunction(() => location.search.includes('live=1') && location.search.includes('span='));
  }],

  ['trace: one that is not there', async ({ open, url }) => {
    const page = await open();
    await page.goto(`${url}/trace/${'f'.repeat(32)}`);
    await page.getByText(/No span of trace f+ is stored/).waitFor();
    await page.getByText('older than the retention').waitFor();
    await page.goto(`${url}/nowhere`);
    await page.getByText('There is no page at this address').waitFor();
  }],
];
