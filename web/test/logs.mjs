// An hour of a distribution's access log, up to some minutes ago, in standard logging v2's JSON: for the charts of the edge
// page, which a demo of a minute cannot fill. Always the same traffic, at other times.
//
//   node test/logs.mjs > hour.json && rootspan import hour.json --data DIR

import { createHash } from 'node:crypto';
import { random } from './traces.mjs';

const MINUTE = 60_000;
const MINUTES = 62;
/** The demo's own records come after these. */
const UNTIL_MINUTES_AGO = 2;

/** Behaviour, path, records a minute, milliseconds, results with status and share; `isPlain`: the function is not attached. */
const TRAFFIC = [
  { pattern: '/assets/*', path: '/assets/app.js', rate: 24, millis: 4, results: [['Hit', 200, 0.94], ['RefreshHit', 200, 0.03], ['Miss', 200, 0.03]] },
  { pattern: '/products/*', path: '/products/20', rate: 14, millis: 48, results: [['Miss', 200, 0.62], ['Hit', 200, 0.34], ['Error', 404, 0.03], ['Error', 500, 0.01]] },
  { pattern: '/orders/*', path: '/orders/', rate: 6, millis: 120, results: [['Miss', 200, 0.94], ['LimitExceeded', 429, 0.03], ['Error', 502, 0.03]], breaks: [17, 26] },
  { pattern: '/partner/*', path: '/partner/feed', rate: 2, millis: 90, results: [['Miss', 200, 1]], isPlain: true },
  { pattern: '*', path: '/', rate: 5, millis: 30, results: [['Hit', 200, 0.7], ['Redirect', 301, 0.14], ['Miss', 200, 0.12], ['Error', 0, 0.04]] },
];

function pick(results, share) {
  let sum = 0;
  return results.find(([, , part]) => (sum += part) > share) ?? results[0];
}

function record(traffic, at, number, next) {
  const id = createHash('sha256').update(`${traffic.pattern} ${number} ${at}`).digest('hex');
  const requestId = `${Buffer.from(id, 'hex').toString('base64url')}${id.slice(0, 11)}==`;
  const ago = (Date.now() - at) / MINUTE;
  const isBroken = traffic.breaks !== undefined && ago > traffic.breaks[0] && ago < traffic.breaks[1];
  const [result, status] = isBroken && next() < 0.6 ? ['Error', 504] : pick(traffic.results, next());
  const taken = Math.round(traffic.millis * (result === 'Hit' ? 0.2 : 1) * (0.5 + next() * next() * 4) * (isBroken ? 25 : 1));
  const hash = createHash('sha256').update(requestId).digest('hex');
  const start = at - taken;
  const payload = `rs1;00-${hash.slice(0, 32)}-${hash.slice(32, 48)}-03;-;${start};0;-;-`;
  const time = new Date(at).toISOString();
  return {
    date: time.slice(0, 10), time: time.slice(11, 19), 'timestamp(ms)': String(at), 'x-edge-location': 'FRA60-P4', 'sc-bytes': String(900 + Math.floor(next() * 9_000)),
    'c-ip': '203.0.113.9', 'cs-method': 'GET', 'cs(Host)': 'd111111abcdef8.cloudfront.net', 'x-host-header': 'shop.example.com', 'cs-uri-stem': traffic.path,
    'sc-status': String(status).padStart(3, '0'), 'cs(User-Agent)': 'Mozilla/5.0', 'cs-protocol': 'https', 'cs-protocol-version': 'HTTP/2.0',
    'x-edge-result-type': result, 'x-edge-response-result-type': result, 'x-edge-detailed-result-type': result, 'x-edge-request-id': requestId,
    'time-taken': (taken / 1000).toFixed(3), 'time-to-first-byte': (taken / 1000).toFixed(3), 'cache-behavior-path-pattern': traffic.pattern,
    'viewer-request-log-data': traffic.isPlain || result === 'Redirect' ? '-' : payload,
  };
}

const next = random(42);
const end = Date.now() - UNTIL_MINUTES_AGO * MINUTE;
for (const traffic of TRAFFIC) {
  for (let minute = 0; minute < MINUTES; minute++) {
    const wave = 0.8 + 0.2 * Math.sin(minute / 9 + traffic.rate) + (next() - 0.5) * 0.2;
    const count = Math.max(1, Math.round(traffic.rate * wave));
    for (let i = 0; i < count; i++) console.log(JSON.stringify(record(traffic, Math.round(end - minute * MINUTE - (i / count) * MINUTE), i, next)));
  }
}
