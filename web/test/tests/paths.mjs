// From a search to the depth of a trace, and a trace of 20,000 spans with its frame times.

import assert from 'node:assert/strict';

/** Frame times while `act` runs in the page, in milliseconds, sorted. */
function frames(page, act) {
  return page.evaluate(async (source) => {
    const step = new Function(`return ${source}`)();
    const times = [];
    let last = performance.now();
    for (let i = 0; i < 120; i++) {
      step(i);
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    return times.sort((a, b) => a - b);
  }, act.toString());
}

const at = (times, share) => times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(1);

export const pathTests = [
  ['path: search → trace → database span', async ({ open, url, traces }) => {
    const page = await open();
    await page.goto(url);
    await page.locator(`a.row[href$="${traces.failing.id}"]`).click();
    await page.waitForURL(/\/trace\//);
    const labels = await page.getByRole('row').evaluateAll((all) => all.map((row) => row.getAttribute('aria-label')));
    const places = ['cloudfront,', 'nginx,', 'upstream,', 'downstream,', 'downstream, SELECT orders'].map((start) => labels.findIndex((label) => label.startsWith(start)));
    assert.deepEqual([...places].sort((a, b) => a - b), places, 'CDN → proxy → upstream → downstream → database');
    assert.ok(places.every((place) => place !== -1));
    await page.getByRole('row', { name: /^downstream, SELECT orders/ }).click();
    await page.getByText('FROM orders o JOIN customers').waitFor();
  }],

  ['path: 20,000 spans open and scroll', async ({ open, url, traces }) => {
    const page = await open();
    const since = Date.now();
    await page.goto(`${url}/trace/${traces.large.id}`);
    await page.getByRole('row').nth(10).waitFor();
    const opened = Date.now() - since;
    assert.ok((await page.getByRole('row').count()) < 60, 'only the rows in sight are in the page');
    const scrolling = await frames(page, (i) => { document.querySelector('[role=treegrid]').scrollTop += 500 + i; });
    const place = await page.evaluate(() => document.querySelector('[role=row]').getAttribute('aria-rowindex'));
    assert.ok(Number(place) > 1000, `scrolled to row ${place}`);
    const zooming = await frames(page, (i) => { window.dispatchEvent(new KeyboardEvent('keydown', { key: i % 2 ? 'ArrowDown' : 'ArrowUp', ctrlKey: true })); });
    const toggling = await frames(page, (i) => { window.dispatchEvent(new KeyboardEvent('keydown', { key: i % 2 ? '[' : ']' })); });
    for (const [what, times] of [['scroll', scrolling], ['zoom', zooming], ['close and open all', toggling]]) {
      console.log(`        ${what}: frame p50 ${at(times, 0.5)} ms, p95 ${at(times, 0.95)} ms, worst ${at(times, 1)} ms`);
    }
    console.log(`        opened in ${opened} ms`);
    await page.keyboard.press('End');
    await page.waitForFunction(() => document.querySelector('[role=row][aria-selected=true]') !== null);
    await page.keyboard.press('e');
    assert.match(await page.locator('[role=row][aria-selected=true]').getAttribute('aria-label'), /error/);
  }],
];
