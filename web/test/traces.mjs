// Traces for the page tests: a request through CloudFront in several moods, hostile names, and one of 20,000 spans.
// A trace is { id, startMillis, spans, segments, notices, shifts, rootMissing } with spans in pre-order; times in nanoseconds.

const MS = 1e6;
export const LANE = { service: 0, cdn: 1, proxy: 2, database: 3, queue: 4, external: 5 };
export const KIND = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 };
export const SEGMENT = { self: 0, net: 1, db: 2, external: 3, queue: 4, gap: 5, edge: 6, toOrigin: 7, originTransfer: 8, viewerTransfer: 9 };
export const FLAG = { error: 1, onPath: 2, orphan: 4, skewed: 8, estimated: 16, events: 32, links: 64, async: 128, root: 256, conflict: 512, keptBy: 1024, derivedIds: 2048 };

/** A small seeded generator, so that every run sees the same traces. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export function hex(seed, length) {
  const next = random(seed * 7919 + 17);
  let text = '';
  while (text.length < length) text += Math.floor(next() * 16).toString(16);
  return text.replace(/^0/, '1');
}

let serial = 1;

/** A span; `at` and `for` in milliseconds. */
function span(parent, service, name, lane, kind, at, length, more = {}) {
  return {
    id: hex(serial++ + 50_000, 16), parent, service, name, lane, kind, start: at * MS, duration: length * MS,
    flags: 0, attributes: [], events: [], links: [], status: { code: 0, message: '' }, ...more,
  };
}

const text = (key, value) => ({ key, type: 'string', value });
const int = (key, value) => ({ key, type: 'int', value: String(value) });
const double = (key, value) => ({ key, type: 'double', value });

const cdnAttributes = (status) => [
  text('http.request.method', 'GET'), text('url.path', '/checkout'), text('url.query', 'coupon=REDACTED'), int('http.response.status_code', status),
  text('user_agent.original', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36'), text('client.address', '203.0.113.0'),
  text('aws.cloudfront.request_id', 'k3Zr9yF0bq7J2mXc1QvT8sLd5WnHpAeR6uYgBjMiKoOtVxCzNlEw=='), text('aws.cloudfront.edge_location', 'FRA60-P4'),
  text('aws.cloudfront.result_type', status < 400 ? 'Miss' : 'Error'), text('aws.cloudfront.context', 'function'),
  double('aws.cloudfront.time_to_first_byte', 1.181), double('aws.cloudfront.origin_first_byte_latency', 1.139), double('aws.cloudfront.time_taken', 1.24),
];

const sql = "SELECT o.id, o.total, c.email FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.cart_id = $1 AND o.state IN ('open', 'held') ORDER BY o.created_at DESC LIMIT 50";

const stacktrace = `java.net.SocketTimeoutException: Read timed out
\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:278)
\tat java.base/sun.nio.ch.NioSocketImpl.implRead(NioSocketImpl.java:304)
\tat java.base/java.net.Socket$SocketInputStream.read(Socket.java:1099)
\tat org.apache.http.impl.io.SessionInputBufferImpl.streamRead(SessionInputBufferImpl.java:137)
\tat com.example.downstream.PaymentClient.authorize(PaymentClient.java:88)
\tat com.example.downstream.OrderService.place(OrderService.java:41)
\tat com.example.downstream.OrderController.post(OrderController.java:27)`;

/** CloudFront → nginx → upstream → downstream (HTTP and queue) → database, the way of the README. */
export function checkout(seed, options = {}) {
  const { failing = false, scale = 1, rootMissing = false, startMillis } = options;
  const t = (ms) => ms * scale;
  const spans = [];
  const add = (...args) => spans.push(span(...args)) - 1;
  const error = { flags: FLAG.error, status: { code: 2, message: 'payment provider timed out' } };
  const cdn = rootMissing ? -1 : add(-1, 'cloudfront', 'GET /checkout', LANE.cdn, KIND.server, 0, t(1240), {
    flags: FLAG.root | (failing ? FLAG.error : 0), attributes: cdnAttributes(failing ? 502 : 200), status: { code: failing ? 2 : 0, message: '' },
  });
  const nginx = add(cdn, 'nginx', 'GET /checkout', LANE.proxy, KIND.server, t(38), t(1142), { attributes: [text('http.request.method', 'GET'), int('http.response.status_code', failing ? 502 : 200), text('server.address', 'origin.example.com')] });
  const upstream = add(nginx, 'upstream', 'POST /checkout', LANE.service, KIND.server, t(52), t(1118), { attributes: [text('http.route', '/checkout'), int('http.response.status_code', failing ? 502 : 200)], ...(failing ? { flags: FLAG.error, status: { code: 2, message: '' } } : {}) });
  add(upstream, 'upstream', 'session.load', LANE.service, KIND.internal, t(60), t(24));
  for (let i = 0; i < 8; i++) {
    add(upstream, 'upstream', 'SELECT cart_items', LANE.database, KIND.client, t(90 + i * 19), t(15 + (i % 3)), { attributes: [text('db.system.name', 'sqlite'), text('db.query.text', 'SELECT * FROM cart_items WHERE id = ?')] });
  }
  const call = add(upstream, 'upstream', 'POST downstream', LANE.external, KIND.client, t(260), t(760), failing ? error : {});
  const downstream = add(call, 'downstream', 'POST /orders', LANE.service, KIND.server, t(310), t(690), {
    flags: (failing ? FLAG.error : 0) | FLAG.events, status: failing ? error.status : { code: 1, message: '' },
    attributes: [text('http.request.method', 'POST'), text('http.route', '/orders'), int('http.response.status_code', failing ? 504 : 201), text('thread.name', 'http-nio-8080-exec-4'), { key: 'app.features', type: 'array', value: [{ type: 'string', value: 'fast-path' }, { type: 'string', value: 'audit' }] }],
    events: [
      { at: t(330), name: 'order.validated', attributes: [int('order.items', 4)] },
      ...(failing ? [{ at: t(990), name: 'exception', attributes: [text('exception.type', 'java.net.SocketTimeoutException'), text('exception.message', 'Read timed out'), text('exception.stacktrace', stacktrace)] }] : []),
    ],
  });
  const db = add(downstream, 'downstream', 'SELECT orders', LANE.database, KIND.client, t(350), t(510), { attributes: [text('db.system.name', 'postgresql'), text('db.namespace', 'shop'), text('db.query.text', sql), text('server.address', 'orders-db.internal'), int('server.port', 5432)] });
  add(downstream, 'downstream', 'GET cart:*', LANE.database, KIND.client, t(880), t(6), { attributes: [text('db.system.name', 'redis')] });
  const send = add(upstream, 'upstream', 'send order-events', LANE.queue, KIND.producer, t(1030), t(18), { flags: FLAG.links, attributes: [text('messaging.system', 'kafka'), text('messaging.destination.name', 'order-events')], links: [{ traceId: hex(3, 32), spanId: hex(9, 16), attributes: [] }] });
  const consume = add(send, 'mailer', 'process order-events', LANE.queue, KIND.consumer, t(1090), t(140), { flags: FLAG.async, attributes: [text('messaging.system', 'kafka'), text('messaging.operation.type', 'process')] });
  add(consume, 'mailer', 'INSERT outbox', LANE.database, KIND.client, t(1120), t(70), { flags: FLAG.async });
  const piece = (row, kind, from, to) => ({ row, kind, start: t(from) * MS, end: t(to) * MS });
  const segments = [
    piece(nginx, SEGMENT.self, 38, 52), piece(upstream, SEGMENT.self, 52, 260),
    piece(call, SEGMENT.net, 260, 310), piece(downstream, SEGMENT.self, 310, 350), piece(db, SEGMENT.db, 350, 860), piece(downstream, SEGMENT.self, 860, 1000),
    piece(call, SEGMENT.net, 1000, 1020), piece(upstream, SEGMENT.self, 1020, 1170), piece(nginx, SEGMENT.self, 1170, 1180),
  ];
  if (!rootMissing) {
    segments.unshift(piece(cdn, SEGMENT.edge, 0, 20), piece(cdn, SEGMENT.toOrigin, 20, 38));
    segments.push(piece(cdn, SEGMENT.originTransfer, 1180, 1205), piece(cdn, SEGMENT.viewerTransfer, 1205, 1240));
  }
  const notices = [];
  if (rootMissing) notices.push({ kind: 'root_missing', text: 'The edge span has not been delivered yet: nginx stands in as the root. Access logs arrive in seconds to an hour.', rows: [0] });
  if (failing) notices.push({ kind: 'failure_origin', text: 'The failure began in downstream, POST /orders: java.net.SocketTimeoutException: Read timed out.', rows: [downstream] });
  return finish({ id: hex(seed, 32), startMillis, spans, segments, notices, shifts: [], rootMissing });
}

/** A clock that runs behind, a missing parent and a conflict. */
export function skewed(seed, startMillis) {
  const trace = checkout(seed, { startMillis, scale: 0.6 });
  const rows = trace.spans.map((s, i) => [s, i]).filter(([s]) => s.service === 'downstream').map(([, i]) => i);
  for (const row of rows) {
    trace.spans[row].flags |= FLAG.skewed;
    trace.shifts.push([row, 85 * MS]);
  }
  trace.spans[rows[0]].flags |= FLAG.conflict;
  const lost = span(-1, 'reports', 'render pdf', LANE.service, KIND.server, 400, 120, { flags: FLAG.orphan });
  trace.spans.push(lost);
  trace.notices.push(
    { kind: 'skew', text: 'The clock of downstream is 85 ms behind; 3 spans are drawn shifted.', rows },
    { kind: 'missing_parents', text: '1 span names a parent that was not received.', rows: [trace.spans.length - 1] },
    { kind: 'conflicts', text: '1 span was received twice with different content.', rows: [rows[0]] },
  );
  return trace;
}

/** A hit at the edge within the millisecond its log counts in. */
export function hit(seed, startMillis) {
  const spans = [span(-1, 'cloudfront', 'GET /assets/*', LANE.cdn, KIND.server, 0, 0, { flags: FLAG.root })];
  return finish({ id: hex(seed, 32), startMillis, spans, segments: [{ row: 0, kind: SEGMENT.edge, start: 0, end: 0 }], notices: [], shifts: [], rootMissing: false });
}

/** A miss whose ids are derived from the request id: what was behind it lies in another trace. */
export function derived(seed, startMillis) {
  const attributes = [...cdnAttributes(200).filter(({ key }) => key !== 'aws.cloudfront.context'), text('aws.cloudfront.context', 'derived')];
  const spans = [span(-1, 'cloudfront', 'GET /api/*', LANE.cdn, KIND.server, 0, 184, { flags: FLAG.root | FLAG.derivedIds, attributes })];
  const notices = [{ kind: 'derived_ids', text: 'The CDN\'s ids are derived from the request id, because its log has none of the edge function: backend spans cannot be joined.', rows: [0] }];
  return finish({ id: hex(seed, 32), startMillis, spans, segments: [{ row: 0, kind: SEGMENT.edge, start: 0, end: 184 * MS }], notices, shifts: [], rootMissing: false, derivedIds: true });
}

/** An error that was kept although the trace was not sampled. */
export function kept(seed, startMillis) {
  const attributes = [...cdnAttributes(503), text('rootspan.kept_by', 'error')];
  const spans = [span(-1, 'cloudfront', 'GET /checkout', LANE.cdn, KIND.server, 0, 95, { flags: FLAG.root | FLAG.error | FLAG.keptBy, attributes, status: { code: 2, message: '' } })];
  const notices = [{ kind: 'backend_not_recorded', text: 'The CDN kept this span although the trace was not sampled, so the services behind it recorded nothing.', rows: [0] }];
  return finish({ id: hex(seed, 32), startMillis, spans, segments: [{ row: 0, kind: SEGMENT.edge, start: 0, end: 95 * MS }], notices, shifts: [], rootMissing: false, keptBy: true });
}

/** Names that are markup, control characters, right-to-left and very long. */
export function hostile(seed, startMillis) {
  const evil = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
  const spans = [
    span(-1, evil, evil, LANE.service, KIND.server, 0, 80, { flags: FLAG.root | FLAG.events, attributes: [text(evil, evil), text('url.full', 'javascript:window.hacked=1'), text('long', 'x'.repeat(20_000))], events: [{ at: 10, name: evil, attributes: [text('exception.message', evil)] }], status: { code: 2, message: evil } }),
    span(0, '\u202Egnp.exe\u202C', '', LANE.service, KIND.internal, 5, 20),
    span(0, '', 'a'.repeat(5000), LANE.external, KIND.client, 30, 40),
  ];
  return finish({ id: hex(seed, 32), startMillis, spans, segments: [{ row: 0, kind: 0, start: 0, end: 80 * MS }], notices: [{ kind: 'omitted', text: evil, rows: [0] }], shifts: [], rootMissing: false });
}

/** `count` spans: batches of work with queries, calls and retries below, 26 services. */
export function large(seed, count, startMillis) {
  const next = random(seed);
  const spans = [span(-1, 'cloudfront', 'POST /import', LANE.cdn, KIND.server, 0, 60_000, { flags: FLAG.root })];
  const segments = [{ row: 0, kind: SEGMENT.edge, start: 0, end: 15 * MS }, { row: 0, kind: SEGMENT.toOrigin, start: 15 * MS, end: 60 * MS }];
  let at = 60;
  while (spans.length < count) {
    const length = (59_800 - at) / Math.max((count - spans.length) / 11.6, 1) * (0.6 + next() * 0.6);
    const service = `worker-${Math.floor(next() * 26)}`;
    const batch = spans.push(span(0, service, `import batch ${spans.length % 977}`, LANE.service, KIND.server, at, length)) - 1;
    segments.push({ row: batch, kind: SEGMENT.self, start: at * MS, end: (at + length) * MS });
    let inner = at;
    for (let i = 0; i < 3 + next() * 12 && spans.length < count; i++) {
      const part = (length / 16) * (0.4 + next());
      const call = spans.push(span(batch, service, `step ${i}`, LANE.service, KIND.internal, inner, part)) - 1;
      if (next() < 0.5 && spans.length < count) {
        const failed = next() < 0.02 ? { flags: FLAG.error, status: { code: 2, message: 'deadlock' } } : {};
        spans.push(span(call, service, 'INSERT rows', LANE.database, KIND.client, inner + part * 0.1, part * 0.8, failed));
      }
      inner += part * 0.9;
    }
    at += length;
  }
  return finish({ id: hex(seed, 32), startMillis, spans, segments, notices: [], shifts: [], rootMissing: false });
}

/** One span that calls `count` times, one call after another: one fold, and a critical path of twice as many pieces. */
export function loop(seed, count, startMillis) {
  const spans = [span(-1, 'upstream', 'POST /sync', LANE.service, KIND.server, 0, 60_000, { flags: FLAG.root })];
  const segments = [];
  const length = 60_000 / count;
  for (let i = 0; i < count; i++) {
    const at = i * length;
    const call = spans.push(span(0, 'upstream', 'SELECT items', LANE.database, KIND.client, at, length / 2)) - 1;
    segments.push({ row: call, kind: SEGMENT.db, start: at * MS, end: (at + length / 2) * MS });
    segments.push({ row: 0, kind: SEGMENT.self, start: (at + length / 2) * MS, end: (at + length) * MS });
  }
  return finish({ id: hex(seed, 32), startMillis, spans, segments, notices: [], shifts: [], rootMissing: false });
}

/** Marks the path, sorts its pieces and adds up. */
function finish(trace) {
  const { spans, segments } = trace;
  segments.sort((a, b) => a.start - b.start);
  for (const { row } of segments) {
    for (let at = row; at !== -1; at = spans[at].parent) spans[at].flags |= FLAG.onPath;
  }
  const first = Math.min(...spans.slice(0, 50).map((s) => s.start));
  for (const s of spans) s.start -= first;
  for (const piece of segments) {
    piece.start -= first;
    piece.end -= first;
  }
  trace.duration = spans.reduce((end, s) => Math.max(end, s.start + s.duration), 0);
  trace.errors = spans.filter((s) => s.flags & FLAG.error).length;
  return trace;
}
