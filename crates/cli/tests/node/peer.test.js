// OpenTelemetry's SDK for Node against the real program: traces and metrics as protobuf, logs as JSON, into a file.
//
// `npm test` with ROOTSPAN naming the binary; `cargo xtask test peers` builds it and does so.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

import { freePort, listening, rootspan } from './support.js';

/** Reports one span, one counter, one histogram and one log record, and waits until all are taken. */
async function report(url) {
  const tracers = new BasicTracerProvider({
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: `${url}/v1/traces` }))],
  });
  tracers.getTracer('peer').startSpan('checkout', { attributes: { 'cart.items': 3 } }).end();

  const exporter = new OTLPMetricExporter({ url: `${url}/v1/metrics` });
  const meters = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] });
  const meter = meters.getMeter('peer');
  meter.createCounter('orders').add(2, { kind: 'book' });
  meter.createHistogram('duration', { unit: 's' }).record(0.25);

  const loggers = new LoggerProvider({
    processors: [new BatchLogRecordProcessor(new OTLPLogExporter({ url: `${url}/v1/logs` }))],
  });
  loggers.getLogger('peer').emit({ severityNumber: 13, body: { what: 'sold out' }, attributes: { sku: 7 } });

  await Promise.all([tracers.shutdown(), meters.shutdown(), loggers.shutdown()]);
}

test('every signal of the SDK for Node arrives', { timeout: 60_000 }, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'rootspan-node-'));
  context.after(() => rm(folder, { recursive: true }));
  const port = await freePort();
  const output = join(folder, 'all.json');
  const config = join(folder, 'rootspan.yaml');
  await writeFile(config, `
receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:${port}'}}}}
exporters: {file: {path: '${output}'}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
    metrics: {receivers: [otlp], exporters: [file]}
    logs: {receivers: [otlp], exporters: [file]}
`);
  const program = rootspan(context, ['run', '--config', config]);
  const ended = once(program, 'exit');
  await listening(port, program);
  await report(`http://127.0.0.1:${port}`);
  program.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);

  const lines = (await readFile(output, 'utf8')).trimEnd().split('\n').map((line) => JSON.parse(line));
  const found = Object.assign({}, ...lines);
  assert.deepEqual(Object.keys(found).sort(), ['resourceLogs', 'resourceMetrics', 'resourceSpans']);
  const [span] = found.resourceSpans[0].scopeSpans[0].spans;
  assert.equal(span.name, 'checkout');
  assert.deepEqual(span.attributes, [{ key: 'cart.items', value: { intValue: '3' } }]);
  const metrics = Object.fromEntries(found.resourceMetrics[0].scopeMetrics[0].metrics.map((metric) => [metric.name, metric]));
  assert.equal(metrics.orders.sum.isMonotonic, true);
  assert.equal(metrics.orders.sum.dataPoints[0].asDouble ?? Number(metrics.orders.sum.dataPoints[0].asInt), 2);
  assert.equal(metrics.duration.histogram.dataPoints[0].count, '1');
  assert.equal(metrics.duration.unit, 's');
  const [record] = found.resourceLogs[0].scopeLogs[0].logRecords;
  assert.equal(record.severityNumber, 13);
  assert.deepEqual(record.body, { kvlistValue: { values: [{ key: 'what', value: { stringValue: 'sold out' } }] } });
});
