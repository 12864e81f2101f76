// The pages in a real browser against the fixture server. Prints a line a test and a summary; exits 1 if one failed.
//
//   npm run build && npm run test:pages [-- pattern of a test's name]
//
// ROOTSPAN_SCREENSHOTS: folder for the screenshots (default test/screenshots). CHROMIUM: the browser.

import { fileURLToPath } from 'node:url';
import { launch, openPage } from './browser.mjs';
import { startServer } from './server.mjs';
import { edgeTests } from './tests/edge.mjs';
import { pathTests } from './tests/paths.mjs';
import { searchTests } from './tests/search.mjs';
import { traceTests } from './tests/trace.mjs';
import { viewTests } from './tests/views.mjs';

const SCREENSHOTS = process.env.ROOTSPAN_SCREENSHOTS ?? fileURLToPath(new URL('./screenshots/', import.meta.url));

const wanted = process.argv[2] ?? '';
const server = await startServer();
const browser = await launch();
let passed = 0;
let failed = 0;
for (const [name, test] of [...searchTests, ...traceTests, ...edgeTests, ...pathTests, ...viewTests]) {
  if (!new RegExp(wanted).test(name)) continue;
  const opened = [];
  const open = async (options) => {
    const session = await openPage(browser, server.url, options);
    opened.push(session);
    return session.page;
  };
  try {
    await test({ open, url: server.url, traces: server.traces.named, screenshots: SCREENSHOTS });
    const problems = opened.flatMap((session) => session.problems);
    if (problems.length > 0) throw new Error(problems.join('\n'));
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${String(error.stack ?? error).replace(/^/gm, '        ')}`);
  }
  for (const session of opened) await session.close();
}
await browser.close();
await server.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
