// A server that speaks the contract of rootspan's API with made-up traces, for the page tests and for work on the pages:
// `npm run build && npm run fixture`. Serves `dist/` under the Content-Security-Policy of the real server.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { coverage } from './coverage.mjs';
import { encodeSpan, encodeSummary, encodeView } from './encode.mjs';
import { checkout, derived, hit, kept, hostile, large, loop, skewed } from './traces.mjs';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Names of the traces the tests open. */
export function makeTraces(now) {
  const named = {
    failing: checkout(1, { failing: true, startMillis: now - 40_000 }),
    late: checkout(2, { rootMissing: true, scale: 0.3, startMillis: now - 4_000 }),
    good: checkout(3, { startMillis: now - 65_000 }),
    skewed: skewed(4, now - 90_000),
    hostile: hostile(5, now - 120_000),
    loop: loop(8, 20_000, now - 300_500),
    hit: hit(7, now - 130_000),
    derived: derived(9, now - 135_000),
    kept: kept(10, now - 140_000),
    large: large(6, 20_000, now - 300_000),
  };
  const more = Array.from({ length: 60 }, (_, i) => checkout(100 + i, {
    scale: 0.15 + ((i * 37) % 100) / 110, failing: i % 9 === 4, startMillis: now - 400_000 - i * 7_300,
  }));
  const all = [...Object.values(named), ...more].sort((a, b) => b.startMillis - a.startMillis);
  return { named, all };
}

/** Starts on a port of the system's choice; resolves to { url, traces, close }. */
export async function startServer(port = 0) {
  const traces = makeTraces(Date.now());
  const byId = new Map(traces.all.map((trace) => [trace.id, trace]));
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost');
    answer(url, traces, byId, response).catch((error) => sendJson(response, 500, { error: { message: String(error) } }));
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`, traces,
    close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }),
  };
}

async function answer(url, traces, byId, response) {
  const path = url.pathname;
  if (path === '/api/v1/search') return search(url, traces, response);
  if (path === '/api/v1/services') return sendJson(response, 200, { services: services(traces) });
  if (path === '/api/v1/operations') return sendJson(response, 200, { operations: operations(traces, url.searchParams.get('service')) });
  if (path === '/api/v1/status') return sendJson(response, 200, status());
  if (path === '/api/v1/edge/coverage') return edgeCoverage(url, traces, response);
  const trace = /^\/api\/v1\/traces\/([0-9a-f]{32})(\/view|\/spans\/([0-9a-f]{16}))?$/.exec(path);
  if (trace !== null) return traceAnswer(byId.get(trace[1]), trace, response);
  if (path.startsWith('/api/')) return sendJson(response, 404, { error: { message: `There is nothing at ${path}.` } });
  return sendFile(path, response);
}

function traceAnswer(found, [, id, part, spanId], response) {
  if (found === undefined) {
    return sendJson(response, 404, { error: { message: `No span of trace ${id} is stored.`, hint: 'It may be older than the retention, not sampled, or not yet delivered.' } });
  }
  if (part === '/view') return send(response, 200, 'application/octet-stream', encodeView(found));
  if (spanId !== undefined) {
    const details = encodeSpan(found, spanId);
    return details === undefined ? sendJson(response, 404, { error: { message: `No span ${spanId} in this trace.` } }) : sendJson(response, 200, details);
  }
  return sendJson(response, 200, { resourceSpans: [] });
}

function search(url, traces, response) {
  const q = url.searchParams.get('q') ?? '{}';
  if (q.includes('slow')) return setTimeout(() => sendJson(response, 200, { traces: [], nextCursor: null, partial: null }), 20_000).unref();
  if (q.includes('broken')) return sendJson(response, 500, { error: { message: 'A block could not be read.', hint: 'Run `rootspan store verify`.' } });
  const bad = q.indexOf('==');
  if (bad !== -1) {
    const offset = Buffer.byteLength(q.slice(0, bad));
    return sendJson(response, 400, { error: { message: 'unexpected `==`', hint: 'equality is written `=`', position: { offset, line: 1, column: bad + 1 } } });
  }
  const service = /service\.name = "([^"]*)"/.exec(q)?.[1];
  const wanted = traces.all.filter((t) => (service === undefined || t.spans.some((s) => s.service === service)) && (!q.includes('status = error') || t.errors > 0));
  const from = Number(url.searchParams.get('cursor') ?? 0);
  const limit = Number(url.searchParams.get('limit') ?? 20);
  const page = wanted.slice(from, from + limit);
  return sendJson(response, 200, {
    traces: page.map(encodeSummary), nextCursor: from + limit < wanted.length ? String(from + limit) : null,
    partial: q.includes('partial') ? 'The search stopped after 10 s; older traces were not looked at.' : null,
  });
}

/** Ranges long ago are the moods of this answer: nothing in 2001, an error in 2002, no answer for long in 2003. */
function edgeCoverage(url, traces, response) {
  const now = Date.now();
  const start = Number(url.searchParams.get('start') ?? now / 1000 - 7 * 86_400) * 1000;
  const end = Number(url.searchParams.get('end') ?? now / 1000) * 1000;
  const year = new Date(start).getUTCFullYear();
  if (year === 2002) return sendJson(response, 500, { error: { message: 'the counts could not be read', hint: 'run `rootspan store verify`' } });
  const answer = coverage(start, end, [traces.named.failing.id, traces.named.derived.id], now);
  if (year === 2001) Object.assign(answer, { distributions: [], findings: [] });
  if (year === 2003) return setTimeout(() => sendJson(response, 200, answer), 20_000).unref();
  return sendJson(response, 200, answer);
}

function services({ all }) {
  return [...new Set(all.flatMap((t) => t.spans.map((s) => s.service)))].sort();
}

function operations({ all }, service) {
  return [...new Set(all.flatMap((t) => t.spans.filter((s) => !service || s.service === service).map((s) => s.name)))].sort().slice(0, 200);
}

function status() {
  const now = BigInt(Date.now()) * 1000000n;
  return {
    spansReceived: 184_220, spansPerSecond: 412.6, newestSpanUnixNano: String(now - 400_000_000n), lastIngestUnixNano: String(now - 200_000_000n),
    storeBytes: 1_204_000_000, storeMaxBytes: 10_000_000_000, droppedSpans: 0, refusedSpans: 0, damagedBlocks: 0, version: '0.1.0',
  };
}

async function sendFile(path, response) {
  const name = extname(path) === '' ? 'index.html' : normalize(path).replace(/^(\.\.[/\\])+/, '');
  try {
    send(response, 200, TYPES[extname(name)] ?? 'application/octet-stream', await readFile(join(DIST, name)));
  } catch {
    send(response, 404, 'text/plain', `No file ${name}.`);
  }
}

function sendJson(response, code, value) {
  send(response, code, 'application/json', JSON.stringify(value));
}

function send(response, code, type, body) {
  response.writeHead(code, { 'content-type': type, 'content-security-policy': CSP, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
  response.end(body);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url, traces } = await startServer(Number(process.env.PORT ?? 16686));
  console.log(`${url}\n${Object.entries(traces.named).map(([name, t]) => `${name}: ${url}/trace/${t.id}`).join('\n')}`);
}
