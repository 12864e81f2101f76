// Writes a trace the way the server does: `/view` columns, search summaries, single spans.

const NO_PARENT = 0xffffffff;

/** `RSV1`, header, columns (see src/lib/view.ts). */
export function encodeView(trace) {
  const { spans, segments } = trace;
  const strings = [];
  const stringIndex = new Map();
  const intern = (text) => stringIndex.get(text) ?? (stringIndex.set(text, strings.push(text) - 1), strings.length - 1);
  const operations = [];
  const operationIndex = new Map();
  const operation = spans.map((s) => {
    const key = JSON.stringify([s.service, s.name, s.lane, s.kind]);
    if (!operationIndex.has(key)) operationIndex.set(key, operations.push([intern(s.service), intern(s.name), s.lane, s.kind]) - 1);
    return operationIndex.get(key);
  });
  const depth = [];
  spans.forEach((s, i) => (depth[i] = s.parent === -1 ? 0 : depth[s.parent] + 1));
  const header = {
    traceId: trace.id, spanCount: spans.length, segmentCount: segments.length,
    startTimeUnixNano: nanos(trace.startMillis), durationNanos: trace.duration, errorCount: trace.errors, strings, operations,
    paths: segments.length > 0 ? [{ entryRow: 0, firstSegment: 0, segmentCount: segments.length }] : [],
    links: spans.map((s, i) => [i, s.links.length]).filter(([, n]) => n > 0),
    shifts: trace.shifts, notices: trace.notices,
  };
  let json = Buffer.from(JSON.stringify(header));
  json = Buffer.concat([json, Buffer.alloc((8 - ((8 + json.length) % 8)) % 8, ' ')]);
  const start = Buffer.alloc(8);
  start.write('RSV1', 0, 'latin1');
  start.writeUInt32LE(json.length, 4);
  return Buffer.concat([
    start, json,
    column(Buffer.from(spans.map((s) => s.id).join(''), 'hex')),
    column(Float64Array.from(spans, (s) => s.start)), column(Float32Array.from(spans, (s) => s.duration)),
    column(Uint32Array.from(spans, (s) => (s.parent === -1 ? NO_PARENT : s.parent))), column(Uint32Array.from(operation)),
    column(Uint16Array.from(depth)), column(Uint16Array.from(spans, (s) => s.flags)),
    column(Float64Array.from(segments, (s) => s.start)), column(Float64Array.from(segments, (s) => s.end)),
    column(Uint32Array.from(segments, (s) => s.row)), column(Uint8Array.from(segments, (s) => s.kind)),
  ]);
}

export function encodeSummary(trace) {
  const services = new Map();
  for (const s of trace.spans) {
    const entry = services.get(s.service) ?? { name: s.service, spans: 0, errors: 0 };
    services.set(s.service, entry);
    entry.spans += 1;
    entry.errors += s.flags & 1;
  }
  const failed = trace.spans.filter((s) => s.flags & 1);
  const origin = failed[failed.length - 1];
  const edge = trace.segments.filter((s) => s.kind >= 6);
  return {
    traceId: trace.id, rootService: trace.spans[0].service, rootName: trace.spans[0].name, rootMissing: trace.rootMissing,
    startTimeUnixNano: nanos(trace.startMillis), durationNanos: trace.duration, spanCount: trace.spans.length, errorCount: trace.errors,
    services: [...services.values()],
    edgeNanos: edge.length > 0 ? edge.reduce((sum, s) => sum + s.end - s.start, 0) : null,
    derivedIds: trace.derivedIds === true, backendNotRecorded: trace.keptBy === true,
    errorExtent: origin === undefined ? null : [origin.start, origin.start + origin.duration],
  };
}

export function encodeSpan(trace, spanId) {
  const row = trace.spans.findIndex((s) => s.id === spanId);
  if (row === -1) return undefined;
  const details = encodeRow(trace, row);
  if (trace.spans[row].flags & 512) {
    const other = encodeRow(trace, row);
    other.attributes = other.attributes.map((a) => (a.key === 'http.route' ? { ...a, value: '/orders/{id}' } : a));
    details.conflicts = [other];
  }
  return details;
}

function encodeRow(trace, row) {
  const s = trace.spans[row];
  const at = (offset) => (BigInt(trace.startMillis) * 1000000n + BigInt(Math.round(offset))).toString();
  const shift = trace.shifts.find(([r]) => r === row)?.[1] ?? 0;
  return {
    spanId: s.id, parentSpanId: s.parent === -1 ? null : trace.spans[s.parent].id, name: s.name, kind: s.kind, service: s.service,
    startTimeUnixNano: at(s.start - shift), endTimeUnixNano: at(s.start - shift + s.duration), durationNanos: s.duration,
    status: s.status, traceState: s.lane === 1 ? 'ot=th:0' : '', flags: 257, attributes: s.attributes,
    resource: {
      attributes: [
        { key: 'service.name', type: 'string', value: s.service }, { key: 'service.version', type: 'string', value: '2.14.0' },
        { key: 'k8s.pod.name', type: 'string', value: `${s.service}-6c9d7b5f4-x2x8k` }, { key: 'cloud.region', type: 'string', value: 'eu-central-1' },
      ],
      schemaUrl: '',
    },
    scope: { name: s.lane === 1 ? 'rootspan/cloudfront' : 'io.opentelemetry.tomcat-10.0', version: '2.33.1-alpha', attributes: [] },
    events: s.events.map((e) => ({ timeUnixNano: at(e.at * 1e6 - shift), name: e.name, attributes: e.attributes })),
    links: s.links, dropped: { attributes: 0, events: 0, links: 0 }, shiftNanos: shift, conflicts: [],
  };
}

function nanos(millis) {
  return (BigInt(millis) * 1000000n).toString();
}

function column(array) {
  const bytes = Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  return Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
}
