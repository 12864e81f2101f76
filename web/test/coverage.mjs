// Edge coverage as the server tells it: two distributions, one with a policy that lets no traceparent through since a while,
// one read from standard logs without a function.

import { random } from './traces.mjs';

const MINUTE = 60_000;
const MS = 1e6;
const LADDER = [1, 5, 15, 60, 360, 1440];
const MOST_STEPS = 240;

export const SHOP = 'd111111abcdef8.cloudfront.net';
export const DOCS = 'd222222abcdef8.cloudfront.net';
export const HOSTILE = '/<img src=x onerror="window.hacked=1">*';

/** Distribution, behaviour, records a minute, shares of results, what is odd about it. */
const ROWS = [
  { distribution: SHOP, behaviour: '/api/*', rate: 240, results: { Miss: 0.86, Hit: 0.06, Error: 0.05, LimitExceeded: 0.03 }, time: 180, delay: 6_000, backend: 0.4, burst: true },
  { distribution: SHOP, behaviour: '/assets/*', rate: 900, results: { Hit: 0.93, RefreshHit: 0.04, Miss: 0.03 }, time: 9, delay: 6_000, thinned: 0.5 },
  { distribution: SHOP, behaviour: '*', rate: 520, results: { Hit: 0.55, Miss: 0.3, Redirect: 0.1, FunctionGeneratedResponse: 0.03, Error: 0.02 }, time: 60, delay: 6_500, kept: 0.02 },
  { distribution: DOCS, behaviour: '', rate: 38, results: { Hit: 0.8, Miss: 0.17, Error: 0.02, NewKindOfResult: 0.01 }, time: 30, delay: 1_500_000, derived: true },
  { distribution: DOCS, behaviour: HOSTILE, rate: 9, results: { Miss: 0.85, Error: 0.15 }, time: 400, delay: 1_500_000, derived: true, unplaced: 0.3 },
];

const DERIVED = 'Attach the function to this behaviour, and select viewer-request-log-data among the fields of the log.';

const nanos = (millis) => `${Math.round(millis)}000000`;

/** The answer for a range in milliseconds; `traces` are ids for the findings. */
export function coverage(start, end, traces, now) {
  const minutes = Math.max((end - start) / MINUTE, 1);
  const days = Math.ceil(minutes / (MOST_STEPS - 1) / 1440) * 1440;
  const step = (LADDER.find((length) => minutes / length <= MOST_STEPS - 1) ?? days) * MINUTE;
  const from = Math.floor(start / step) * step;
  const to = Math.ceil(end / step) * step;
  const rows = ROWS.map((row, i) => ({ ...row, steps: stepsOf(row, i, from, to, step, now) }));
  const distributions = [SHOP, DOCS].map((distribution) => {
    const behaviours = rows.filter((row) => row.distribution === distribution && row.steps.length > 0)
      .map(({ behaviour, steps }) => ({ behaviour, totals: total(steps), steps })).sort((a, b) => b.totals.records - a.totals.records);
    return { distribution, totals: total(behaviours.map((b) => b.totals)), behaviours };
  }).filter(({ behaviours }) => behaviours.length > 0);
  const api = distributions[0]?.behaviours.find((b) => b.behaviour === '/api/*')?.totals;
  const docs = distributions.find((d) => d.distribution === DOCS)?.behaviours ?? [];
  const plain = docs.find((b) => b.behaviour === '')?.totals.records ?? 0;
  const odd = docs.find((b) => b.behaviour === HOSTILE)?.totals;
  const findings = api === undefined ? [] : [
    { kind: 'misses_without_backend', distribution: SHOP, behaviour: '/api/*', count: api.missesWithoutBackend, of: api.missesExpected, check: 'CloudFront sent these to the origin, and no span arrived below theirs. First let traceparent and tracestate through by the origin request policy of the behaviour.', traces },
    { kind: 'derived_ids', distribution: DOCS, behaviour: '', count: plain, of: plain, check: DERIVED, traces: traces.slice(0, 2) },
    { kind: 'derived_ids', distribution: DOCS, behaviour: HOSTILE, count: odd?.derived ?? 0, of: odd?.records ?? 0, check: DERIVED, traces: [] },
    { kind: 'late', distribution: DOCS, behaviour: '', count: plain, of: plain, check: 'Standard logs come minutes to an hour late; real-time logs come in seconds.', traces: [] },
    { kind: 'unplaced', distribution: DOCS, behaviour: HOSTILE, count: odd?.unplaced ?? 0, of: odd?.records ?? 0, check: 'A path that continues the viewer\'s trace needs the ids in the log: attach the function, or add cs-headers.', traces: [] },
  ];
  return {
    startTimeUnixNano: nanos(from), endTimeUnixNano: nanos(to), stepNanos: step * MS, totals: total(distributions.map((d) => d.totals)), distributions, findings,
    partial: minutes > 4_000 ? 'Records from before Tuesday 10:00 were counted by an older version and are not in here.' : null,
  };
}

function stepsOf(row, seed, from, to, step, now) {
  const next = random(seed + 11);
  const steps = [];
  // Nothing was recorded more than three days ago, but for the ranges of long ago that the tests ask for.
  const first = to < now - 30 * 1440 * MINUTE ? from : now - 3 * 1440 * MINUTE - step;
  for (let at = from; at < Math.min(to, now); at += step) {
    if (at < first) continue;
    const wave = 0.75 + 0.25 * Math.sin(at / (47 * MINUTE) + seed) + (next() - 0.5) * 0.12;
    const ago = (now - at) / MINUTE;
    const bursts = row.burst === true && ago > 18 && ago < 27;
    // A pause of the log, so that there is a gap to see.
    if (row.distribution === DOCS && ago > 30 && ago < 36 && step === MINUTE) continue;
    const records = Math.round(row.rate * wave * (step / MINUTE) * (bursts ? 1.6 : 1));
    if (records > 0) steps.push({ startTimeUnixNano: nanos(at), ...counts(row, records, next, bursts) });
  }
  return steps;
}

function counts(row, records, next, bursts) {
  const resultTypes = {};
  for (const [name, part] of Object.entries(row.results)) resultTypes[name] = Math.round(records * part * (bursts && name === 'Error' ? 6 : 1));
  const errors = resultTypes.Error ?? 0;
  const gone = Math.round(records * 0.002);
  const unplaced = Math.round(records * (row.unplaced ?? 0));
  const kept = Math.round(records * (row.kept ?? 0));
  const thinned = Math.round(records * (row.thinned ?? 0));
  const sampled = records - unplaced - kept - thinned;
  const misses = Math.round((resultTypes.Miss ?? 0) * 0.9);
  const wobble = 0.8 + next() * 0.5;
  return {
    records, redelivered: Math.round(records * 0.001), resultTypes,
    statusClasses: { '2xx': records - errors - gone, '3xx': resultTypes.Redirect ?? 0, '4xx': resultTypes.LimitExceeded ?? 0, '5xx': errors, '000': gone },
    sampled, sampledOut: 0, kept, thinned, derived: row.derived ? sampled : 0, unplaced, spans: sampled + kept, secondary: 0,
    delayP50Nanos: row.delay * wobble * MS, delayP99Nanos: row.delay * wobble * 2.4 * MS,
    durationP50Nanos: row.time * wobble * MS, durationP99Nanos: row.time * wobble * (bursts ? 30 : 7) * MS,
    bytes: records * 14_000, missesExpected: row.derived ? 0 : misses, missesWithoutBackend: row.backend === undefined ? 0 : Math.round(misses * row.backend),
  };
}

function total(all) {
  const sum = (key) => all.reduce((n, c) => n + c[key], 0);
  const names = (key) => {
    const found = {};
    for (const c of all) for (const [name, n] of Object.entries(c[key])) found[name] = (found[name] ?? 0) + n;
    return found;
  };
  const most = (key) => (all.length === 0 ? null : Math.max(...all.map((c) => c[key])));
  const middle = (key) => (all.length === 0 ? null : all.map((c) => c[key]).sort((a, b) => a - b)[Math.floor(all.length / 2)]);
  return {
    records: sum('records'), redelivered: sum('redelivered'), resultTypes: names('resultTypes'), statusClasses: names('statusClasses'), sampled: sum('sampled'),
    sampledOut: sum('sampledOut'), kept: sum('kept'), thinned: sum('thinned'), derived: sum('derived'), unplaced: sum('unplaced'), spans: sum('spans'), secondary: sum('secondary'),
    delayP50Nanos: middle('delayP50Nanos'), delayP99Nanos: most('delayP99Nanos'), durationP50Nanos: middle('durationP50Nanos'), durationP99Nanos: most('durationP99Nanos'),
    bytes: sum('bytes'), missesExpected: sum('missesExpected'), missesWithoutBackend: sum('missesWithoutBackend'),
  };
}
