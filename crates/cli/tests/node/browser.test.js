// A page in Chromium with OpenTelemetry's SDK for the web begins a trace and fetches, from another origin, through a local
// CloudFront that runs the built function, from a back end with OpenTelemetry's SDK for Node. Everything that browsers ask
// for across origins is real: the question before the request (CORS preflight) to the CDN and to the OTLP receiver.
//
// `npm test` with ROOTSPAN naming the binary, CHROMIUM the browser; `cargo xtask test peers` does so.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

import { eventually, freePort, lineOf, listening, rootspan } from './support.js';

const ACCESS_KEY = 'browser-test';
/** The browser's trace goes on here; elsewhere a new one begins. */
const CONTINUED = '/partner/cart';
const RESTARTED = '/shop/cart';
const SETTINGS = "paths: [{pattern: '/partner/*', trust: continue}]\n";
// No sandbox is needed as root; the rest keeps the browser from talking to anybody.
const FLAGS = ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic', '--no-first-run'];

/** A server on a port of the system's choice; resolves to its origin. */
async function serve(context, answer) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.closeAllConnections());
  context.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

/** The shop's page and its script. */
async function startPage(context) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('page.js', import.meta.url))], bundle: true, format: 'iife', platform: 'browser', write: false, logLevel: 'silent',
  });
  return serve(context, (request, response) => {
    const isScript = request.url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? outputFiles[0].text : '<!doctype html><title>shop</title><link rel="icon" href="data:,"><script src="/page.js"></script>');
  });
}

/** A service with OpenTelemetry's SDK, which lets the page's origin ask and read. `asked` collects the headers that the browser asked for. */
async function startService(context, { otlp, page, asked }) {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'cart' }),
    spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter({ url: `${otlp}/v1/traces` }))],
  });
  context.after(() => provider.shutdown());
  const tracer = provider.getTracer('cart');
  const propagator = new W3CTraceContextPropagator();
  const getter = { keys: (headers) => Object.keys(headers), get: (headers, name) => headers[name] };
  return serve(context, (request, response) => {
    const parent = propagator.extract(ROOT_CONTEXT, request.headers, getter);
    const span = tracer.startSpan(`${request.method} ${request.url}`, { kind: SpanKind.SERVER }, parent);
    response.setHeader('access-control-allow-origin', page());
    if (request.method === 'OPTIONS') {
      asked.push(request.headers['access-control-request-headers']);
      response.setHeader('access-control-allow-methods', 'GET');
      response.setHeader('access-control-allow-headers', 'traceparent, tracestate');
    }
    response.end(trace.getSpanContext(parent)?.traceId ?? 'no trace');
    span.end();
  });
}

/** rootspan itself: OTLP for the page's origin, CloudFront's log, the store and the API. */
async function startRootspan(context, folder, page) {
  const [otlp, firehose, ui] = [await freePort(), await freePort(), await freePort()];
  const config = join(folder, 'rootspan.yaml');
  await writeFile(config, `
receivers:
  otlp: {protocols: {http: {endpoint: '127.0.0.1:${otlp}', cors: {allowed_origins: ['${page}'], allowed_headers: [x-shop]}}}}
  cloudfront: {endpoint: '127.0.0.1:${firehose}', access_key: ${ACCESS_KEY}, edge: {${SETTINGS.trim()}}}
exporters: {store: {directory: '${join(folder, 'data')}'}}
extensions: {ui: {endpoint: '127.0.0.1:${ui}'}}
service:
  extensions: [ui]
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp, cloudfront], exporters: [store]}}
`);
  const program = rootspan(context, ['run', '--config', config]);
  for (const port of [otlp, firehose, ui]) await listening(port, program);
  return { otlp: `http://127.0.0.1:${otlp}`, firehose: `http://127.0.0.1:${firehose}/`, api: `http://127.0.0.1:${ui}/api/v1` };
}

/** A local CloudFront with the built function in front of `origin`. */
async function startCdn(context, folder, { origin, firehose }) {
  const settings = join(folder, 'edge.yaml');
  await writeFile(settings, SETTINGS);
  const [code] = await once(rootspan(context, ['edge', 'build', '--settings', settings, '--out', folder]), 'exit');
  assert.equal(code, 0, 'the function is built');
  const emulator = rootspan(context, [
    'edge', 'emulate', '--origin', origin, '--listen', '127.0.0.1:0', '--function', join(folder, 'viewer-request.js'), '--firehose', firehose, '--access-key', ACCESS_KEY,
  ], 'pipe');
  const [, url] = await lineOf(emulator, /listens on (http:\/\/\S+)/);
  return url;
}

/** Visits the page in Chromium; also the addresses that the browser asked before its requests. */
async function visit(context, page, task) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
  context.after(() => browser.close());
  const tab = await browser.newPage();
  const watch = await tab.context().newCDPSession(tab);
  const preflights = [];
  watch.on('Network.requestWillBeSent', ({ request }) => {
    if (request.method === 'OPTIONS') preflights.push(request.url);
  });
  await watch.send('Network.enable');
  tab.on('pageerror', (error) => assert.fail(`in the page: ${error.message}`));
  await tab.goto(page);
  const visited = await tab.evaluate((given) => window.visit(given), task);
  return { visited, preflights };
}

/** All spans of a trace with their services, or undefined while there are fewer than `count`. */
async function spansOf(api, traceId, count) {
  const answer = await fetch(`${api}/traces/${traceId}`);
  if (answer.status === 404) return undefined;
  assert.equal(answer.status, 200);
  const { resourceSpans } = await answer.json();
  const service = ({ resource }) => resource.attributes.find(({ key }) => key === 'service.name').value.stringValue;
  const spans = resourceSpans.flatMap((one) => one.scopeSpans.flatMap((scope) => scope.spans.map((span) => ({ ...span, service: service(one) }))));
  return spans.length >= count ? spans : undefined;
}

/** The only span of a service. */
function only(spans, service, name = /./) {
  const found = spans.filter((span) => span.service === service && name.test(span.name));
  assert.equal(found.length, 1, `one span of ${service} in ${JSON.stringify(spans.map((span) => `${span.service} ${span.name}`))}`);
  return found[0];
}

/** The trace of the CDN's span for a GET of `path`. */
async function traceOfEdge(api, path) {
  const query = `{ instrumentation:name = "rootspan/cloudfront" && span.http.request.method = "GET" && span.url.path = "${path}" }`;
  const { traces } = await (await fetch(`${api}/search?${new URLSearchParams({ q: query })}`)).json();
  assert.ok(traces.length <= 1);
  return traces[0]?.traceId;
}

test('a trace that begins in a browser goes on through the CDN where it is trusted, and is linked elsewhere', { timeout: 180_000 }, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'rootspan-browser-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const page = await startPage(context);
  const { otlp, firehose, api } = await startRootspan(context, folder, page);
  const asked = [];
  const origin = await startService(context, { otlp, page: () => page, asked });
  const cdn = await startCdn(context, folder, { origin, firehose });
  const { visited, preflights } = await visit(context, page, { cdn, otlp, paths: [CONTINUED, RESTARTED] });

  await context.test('the browser asked before it sent, and the answers let it', () => {
    // Both origins: the CDN's, and the receiver's before the export.
    assert.deepEqual([...preflights].sort(), [`${cdn}${CONTINUED}`, `${cdn}${RESTARTED}`, `${otlp}/v1/traces`].sort());
    assert.deepEqual(asked, ['traceparent', 'traceparent'], 'the question went through the CDN to the origin');
    assert.deepEqual(Object.values(visited).map(({ status }) => status), [200, 200]);
  });

  await context.test('continue: browser, CDN and back end are one trace', async () => {
    const { traceId, body } = visited[CONTINUED];
    assert.equal(body, traceId, 'the back end was told the browser\'s trace');
    const spans = await eventually('four spans of the continued trace', () => spansOf(api, traceId, 4));
    const [click, call] = [only(spans, 'browser', /^click/), only(spans, 'browser', /GET/)];
    const [edge, cart] = [only(spans, 'cloudfront'), only(spans, 'cart')];
    assert.deepEqual([call.parentSpanId, edge.parentSpanId, cart.parentSpanId], [click.spanId, call.spanId, edge.spanId]);
    assert.equal(click.parentSpanId ?? '', '');
    assert.equal(spans.length, 4);
  });

  await context.test('restart: a trace of its own, linked to the browser\'s', async () => {
    const { traceId, body } = visited[RESTARTED];
    const own = await eventually('the trace that began at the CDN', () => traceOfEdge(api, RESTARTED));
    assert.notEqual(own, traceId);
    assert.equal(body, own, 'the back end was told the CDN\'s trace');
    const spans = await eventually('two spans of it', () => spansOf(api, own, 2));
    const [edge, cart] = [only(spans, 'cloudfront'), only(spans, 'cart')];
    assert.equal(edge.parentSpanId ?? '', '');
    assert.equal(cart.parentSpanId, edge.spanId);
    const ofBrowser = await eventually('two spans of the browser', () => spansOf(api, traceId, 2));
    const call = only(ofBrowser, 'browser', /GET/);
    assert.deepEqual(edge.links.map((link) => [link.traceId, link.spanId]), [[traceId, call.spanId]]);
    assert.deepEqual(new Set(ofBrowser.map(({ service }) => service)), new Set(['browser']));
  });
});
