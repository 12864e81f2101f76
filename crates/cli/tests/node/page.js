// A page of a shop: OpenTelemetry's SDK for the web, as its documentation sets it up. Bundled by the test.

import { context, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { FetchInstrumentation } from '@opentelemetry/instrumentation-fetch';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, WebTracerProvider } from '@opentelemetry/sdk-trace-web';

/** Resolves `all` once so many spans have ended: the instrumentation ends one when the browser has told the request's timings. */
class Ended {
  constructor(count) {
    this.all = new Promise((resolve) => {
      this.onEnd = () => {
        count -= 1;
        if (count === 0) resolve();
      };
    });
  }
  onStart() {}
  forceFlush() { return Promise.resolve(); }
  shutdown() { return Promise.resolve(); }
}

/** Fetches `paths` from the CDN inside one span each; resolves to their trace ids once all spans are sent to `otlp`. */
window.visit = async ({ cdn, otlp, paths }) => {
  const exporter = new OTLPTraceExporter({ url: `${otlp}/v1/traces`, headers: { 'x-shop': 'page' } });
  const ended = new Ended(paths.length * 2);
  const provider = new WebTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'browser' }),
    spanProcessors: [new BatchSpanProcessor(exporter), ended],
  });
  provider.register({ propagator: new W3CTraceContextPropagator() });
  registerInstrumentations({
    instrumentations: [new FetchInstrumentation({ propagateTraceHeaderCorsUrls: [new RegExp(`^${cdn}/`)], ignoreUrls: [new RegExp(`^${otlp}/`)] })],
  });
  const tracer = trace.getTracer('shop');
  const visited = {};
  for (const path of paths) {
    const span = tracer.startSpan(`click ${path}`);
    // The answer is read before the span ends, so that its own spans are inside.
    const answer = await context.with(trace.setSpan(context.active(), span), () => fetch(`${cdn}${path}`));
    visited[path] = { traceId: span.spanContext().traceId, status: answer.status, body: await answer.text() };
    span.end();
  }
  await ended.all;
  await provider.shutdown();
  return visited;
};
