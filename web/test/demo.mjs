// The pages against a running rootspan with the demo's traffic: finds a request that went CDN → upstream → downstream →
// database, opens it, looks for them in the waterfall, saves the screenshots for the README.
//
//   node test/demo.mjs http://127.0.0.1:16686 [folder for screenshots]

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, openPage } from './browser.mjs';

const [url = 'http://127.0.0.1:16686', folder = fileURLToPath(new URL('./screenshots/', import.meta.url))] = process.argv.slice(2);
const WANTED = ['cloudfront', 'upstream', 'downstream'];
/** Traffic may have begun a moment ago. */
const PATIENCE_MILLIS = 60_000;
const DATABASE = 3;

/** A trace of all wanted services with a root, once there is one. */
async function findTrace() {
  const until = Date.now() + PATIENCE_MILLIS;
  while (Date.now() < until) {
    // A page: its answer waits for the database, so everything lies on the critical path.
    const query = encodeURIComponent('{ resource.service.name = "downstream" && name = "SELECT products" }');
    const { traces } = await (await fetch(`${url}/api/v1/search?limit=200&q=${query}`)).json();
    const candidates = traces.filter((trace) => !trace.rootMissing && WANTED.every((name) => trace.services.some((service) => service.name === name)));
    for (const { traceId } of candidates) if (await hasDatabase(traceId)) return traceId;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error(`no trace of ${WANTED.join(', ')} and a database within ${PATIENCE_MILLIS / 1000} s`);
}

async function hasDatabase(traceId) {
  const bytes = Buffer.from(await (await fetch(`${url}/api/v1/traces/${traceId}/view`)).arrayBuffer());
  const header = JSON.parse(bytes.subarray(8, 8 + bytes.readUInt32LE(4)).toString());
  return header.operations.some(([, , lane]) => lane === DATABASE);
}

const traceId = await findTrace();
await mkdir(folder, { recursive: true });
const browser = await launch();
try {
  for (const [width, height] of [[1440, 900], [390, 844]]) {
    for (const theme of ['light', 'dark']) {
      const { page, problems, close } = await openPage(browser, new URL(url).origin, { width, height, theme });
      await page.goto(url);
      await page.locator('a.row').first().waitFor();
      await page.screenshot({ path: join(folder, `search-${width}-${theme}.png`) });
      await page.goto(`${url}/trace/${traceId}`);
      await page.getByRole('treegrid').getByRole('row').first().waitFor();
      await page.keyboard.press(']');
      const labels = await page.getByRole('treegrid').getByRole('row').evaluateAll((rows) => rows.map((row) => row.getAttribute('aria-label')));
      const places = WANTED.map((service) => labels.findIndex((label) => label.startsWith(`${service}, `)));
      if (width > 1000) {
        assert.ok(places.every((place) => place !== -1), `${WANTED} in ${labels.join('\n')}`);
        assert.deepEqual([...places].sort((a, b) => a - b), places, `${WANTED} in this order in ${labels.join('\n')}`);
        assert.ok((await page.getByRole('img', { name: 'database' }).count()) > 0, 'a database span');
      }
      await page.screenshot({ path: join(folder, `trace-${width}-${theme}.png`) });
      assert.deepEqual(problems, []);
      await close();
    }
  }
  console.log(`trace ${traceId}: CDN → upstream → downstream → database; screenshots in ${folder}`);
} finally {
  await browser.close();
}
