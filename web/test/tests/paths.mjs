// From a search to the depth of a trace, and a trace of 20,000 spans with its frame times.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** Scripts and styles together, packed: what a first visit fetches. */
const MOST_BYTES = 120_000;

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

/** Counts what is drawn on canvases, in `window.drawn`. */
function countDrawing() {
  window.drawn = 0;
  const canvas = CanvasRenderingContext2D.prototype;
  for (const name of ['fillRect', 'strokeRect', 'fillText', 'stroke', 'fill', 'drawImage']) {
    const draw = canvas[name];
    canvas[name] = function counted(...args) {
      window.drawn += 1;
      return draw.apply(this, args);
    };
  }
}

/** The most marks and rows of any frame while `act` runs in the page, and what is in sight. */
function mostInAFrame(page, act) {
  return page.evaluate(async (source) => {
    const step = new Function(`return ${source}`)();
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const grid = document.querySelector('[role=treegrid]');
    const most = { drawn: 0, frames: 0, rows: 0, inSight: Math.ceil(grid.clientHeight / 24) + 1, width: grid.clientWidth };
    for (let i = 0; i < 40; i++) {
      step(i);
      await frame();
      await frame();
      most.drawn = Math.max(most.drawn, window.drawn);
      most.frames += window.drawn > 0 ? 1 : 0;
      most.rows = Math.max(most.rows, document.querySelectorAll('[role=row]').length);
      window.drawn = 0;
    }
    return most;
  }, act.toString());
}

const scroll = (i) => { document.querySelector('[role=treegrid]').scrollTop = i * 700; };
const zoom = (i) => { window.dispatchEvent(new KeyboardEvent('keydown', { key: i % 8 < 4 ? 'ArrowUp' : 'ArrowDown', ctrlKey: true })); };
/** Bar with pattern, path with halo, error, event, label with ground, axis: no row needs more marks. */
const MARKS_A_ROW = 12;

const at = (times, share) => times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(1);

export const pathTests = [
  ['path: the app is small', async () => {
    const folder = fileURLToPath(new URL('../../dist/assets/', import.meta.url));
    const sizes = await Promise.all((await readdir(folder)).map(async (name) => gzipSync(await readFile(join(folder, name))).length));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    console.log(`        ${(total / 1000).toFixed(1)} kB gzip`);
    assert.ok(total <= MOST_BYTES, `${total} bytes`);
  }],

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

  ['path: a frame draws what is in sight, not what is in the trace', async ({ open, url, traces }) => {
    const page = await open();
    await page.addInitScript(countDrawing);
    // A step may end in two drawings.
    const ofRows = ({ inSight }) => 2 * MARKS_A_ROW * inSight;
    // One span and one fold, each with a mark for every pixel at most.
    const ofPixels = ({ width }) => 2 * 2 * width;
    for (const [name, act, bound] of [['large', scroll, ofRows], ['large', zoom, ofRows], ['loop', zoom, ofPixels]]) {
      await page.goto(`${url}/trace/${traces[name].id}`);
      await page.getByRole('row').nth(1).waitFor();
      // What is drawn once, when the page opens, does not count.
      await mostInAFrame(page, () => {});
      const most = await mostInAFrame(page, act);
      const what = `${name}, ${act.name}: ${JSON.stringify(most)}`;
      assert.ok(most.frames > 10, `something was drawn; ${what}`);
      assert.ok(most.rows <= most.inSight, `only rows in sight are in the page; ${what}`);
      assert.ok(most.drawn <= bound(most), `at most ${bound(most)} marks; ${what}`);
    }
  }],
];
