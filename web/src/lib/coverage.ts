// Edge coverage: the answer of `GET /api/v1/edge/coverage`, and what the edge page makes of it. Only sums and words; what is
// counted as what is the server's to say.

import { searchHref } from './address';
import { quote } from './tokens';

/** Numbers about access-log records. */
export interface Counts {
  /** Received, before any sampling, each once. */
  records: number;
  redelivered: number;
  /** By `x-edge-response-result-type`, named as in the log. */
  resultTypes: Record<string, number>;
  /** `2xx` … `5xx`, and `000` where nothing was sent. */
  statusClasses: Record<string, number>;
  sampled: number;
  sampledOut: number;
  kept: number;
  thinned: number;
  derived: number;
  unplaced: number;
  spans: number;
  secondary: number;
  delayP50Nanos: number | null;
  delayP99Nanos: number | null;
  durationP50Nanos: number | null;
  durationP99Nanos: number | null;
  bytes: number;
  missesExpected: number;
  missesWithoutBackend: number;
}

export interface CoverageStep extends Counts {
  startTimeUnixNano: string;
}

export interface CoverageBehaviour {
  /** The path pattern; empty where the log does not have it. */
  behaviour: string;
  totals: Counts;
  /** Only those with records, oldest first. */
  steps: CoverageStep[];
}

export interface CoverageDistribution {
  distribution: string;
  totals: Counts;
  behaviours: CoverageBehaviour[];
}

/** Something to look at, most urgent first in the answer. */
export interface CoverageFinding {
  kind: string;
  distribution: string;
  behaviour: string;
  count: number;
  of: number;
  check: string;
  traces: string[];
}

export interface CoverageAnswer {
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  stepNanos: number;
  totals: Counts;
  distributions: CoverageDistribution[];
  findings: CoverageFinding[];
  partial: string | null;
}

/** A step of the time axis; `counts` is missing where nothing came. */
export interface AxisStep {
  start: number;
  counts: Counts | undefined;
}

/** Scope of every span that is made from a record, whatever the service is called. */
const FROM_LOGS = 'instrumentation:name = "rootspan/cloudfront"';

/** Records that failed by the CDN's or the origin's fault, or got no answer; the same as a span's status `error`, nearly:
 * a transfer that broke after a good status is not seen here. */
export function errorsOf(counts: Counts): number {
  return (counts.statusClasses['5xx'] ?? 0) + (counts.statusClasses['000'] ?? 0);
}

/** A part of a whole; nothing of nothing is nothing. */
export function share(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}

/** Seconds that the answer covers, up to now. */
export function coveredSeconds(answer: CoverageAnswer, now: number): number {
  const start = millisOf(answer.startTimeUnixNano);
  const end = Math.min(millisOf(answer.endTimeUnixNano), Math.max(now, start + answer.stepNanos / 1e6));
  return (end - start) / 1000;
}

/** From the first step with records to the end of the last, in milliseconds. */
export function extentOf(answer: CoverageAnswer): { start: number; end: number } | undefined {
  const starts = answer.distributions.flatMap(({ behaviours }) => behaviours.flatMap(({ steps }) => steps.map((step) => millisOf(step.startTimeUnixNano))));
  if (starts.length === 0) return undefined;
  const [start, last] = starts.reduce(([least, most], at) => [Math.min(least, at), Math.max(most, at)], [Infinity, -Infinity]);
  return { start, end: last + answer.stepNanos / 1e6 };
}

/** Whole milliseconds of a point in time. */
export function millisOf(nanos: string): number {
  return Number(BigInt(nanos) / 1_000_000n);
}

/** Every step of the answer's time, also those without records, so that a gap is a gap. */
export function axis(answer: CoverageAnswer, steps: CoverageStep[]): AxisStep[] {
  const step = answer.stepNanos / 1e6;
  const start = millisOf(answer.startTimeUnixNano);
  const count = Math.min(Math.round((millisOf(answer.endTimeUnixNano) - start) / step), MOST_STEPS);
  const byStart = new Map(steps.map((counts) => [millisOf(counts.startTimeUnixNano), counts]));
  return Array.from({ length: count }, (_, i) => ({ start: start + i * step, counts: byStart.get(start + i * step) }));
}

/** The contract says 240; more than this is not drawn, whatever a server says. */
const MOST_STEPS = 2_000;

/** The steps of several behaviours as one: counts added up, percentiles the highest of them. */
export function mergeSteps(behaviours: CoverageBehaviour[]): CoverageStep[] {
  const merged = new Map<string, CoverageStep>();
  for (const { steps } of behaviours) {
    for (const step of steps) {
      const known = merged.get(step.startTimeUnixNano);
      merged.set(step.startTimeUnixNano, known === undefined ? step : { ...addCounts([known, step]), startTimeUnixNano: step.startTimeUnixNano });
    }
  }
  return [...merged.values()].sort((a, b) => millisOf(a.startTimeUnixNano) - millisOf(b.startTimeUnixNano));
}

/** A sum. Percentiles cannot be added: the highest is taken, which the page says where it shows one. */
export function addCounts(all: Counts[]): Counts {
  const sum: Counts = {
    records: 0, redelivered: 0, resultTypes: {}, statusClasses: {}, sampled: 0, sampledOut: 0, kept: 0, thinned: 0, derived: 0, unplaced: 0, spans: 0,
    secondary: 0, delayP50Nanos: null, delayP99Nanos: null, durationP50Nanos: null, durationP99Nanos: null, bytes: 0, missesExpected: 0, missesWithoutBackend: 0,
  };
  for (const counts of all) {
    for (const key of ADDED) sum[key] += counts[key];
    for (const key of HIGHEST) sum[key] = counts[key] === null ? sum[key] : Math.max(sum[key] ?? 0, counts[key]);
    addNames(sum.resultTypes, counts.resultTypes);
    addNames(sum.statusClasses, counts.statusClasses);
  }
  return sum;
}

const ADDED = [
  'records', 'redelivered', 'sampled', 'sampledOut', 'kept', 'thinned', 'derived', 'unplaced', 'spans', 'secondary', 'bytes', 'missesExpected', 'missesWithoutBackend',
] as const;
const HIGHEST = ['delayP50Nanos', 'delayP99Nanos', 'durationP50Nanos', 'durationP99Nanos'] as const;

function addNames(sum: Record<string, number>, more: Record<string, number>): void {
  for (const [name, count] of Object.entries(more)) sum[name] = (sum[name] ?? 0) + count;
}

/** What became of the records, each in exactly one part; then what is no part of them. Without what is zero. */
export function fates(counts: Counts): [string, number][] {
  const all: [string, number][] = [
    ['sampled', counts.sampled],
    ['not sampled', counts.sampledOut],
    ['kept though not sampled', counts.kept],
    ['thinned by the rates', counts.thinned],
    ['unplaced', counts.unplaced],
    ['of another source', counts.secondary],
  ];
  return all.filter(([, count]) => count > 0);
}

/** Words for a behaviour. */
export function behaviourLabel(behaviour: string): string {
  if (behaviour === '') return 'behaviour not logged';
  return behaviour === '*' ? '* (default)' : behaviour;
}

/** Findings that say the same of several places. */
export interface FindingGroup {
  text: string;
  check: string;
  places: CoverageFinding[];
  traces: string[];
}

const FINDINGS: Record<string, string> = {
  misses_without_backend: 'Sampled misses without a span from the back end',
  derived_ids: 'Records without ids of the edge function: theirs are derived from the request id',
  unplaced: 'Records left out, because nothing in them tells which trace they belong to',
  late: 'Records that came late',
  all_secondary: 'Records of a log that is not the authoritative source: no span was made of them',
};

/** What a kind of finding says; of one that is not known, what can be said. */
export function findingText(kind: string): string {
  return Object.hasOwn(FINDINGS, kind) ? FINDINGS[kind] : kind.replaceAll('_', ' ');
}

/** Findings of one kind with the same advice together, in the order of the most urgent of them. */
export function groupFindings(findings: CoverageFinding[]): FindingGroup[] {
  const groups = new Map<string, FindingGroup>();
  for (const finding of findings) {
    const key = `${finding.kind} ${finding.check}`;
    const group = groups.get(key) ?? { text: findingText(finding.kind), check: finding.check, places: [], traces: [] };
    groups.set(key, group);
    group.places.push(finding);
    group.traces.push(...finding.traces);
  }
  return [...groups.values()].map((group) => ({ ...group, traces: [...new Set(group.traces)].slice(0, MOST_EXAMPLES) }));
}

const MOST_EXAMPLES = 5;

/** What the traces of a stretch of time are asked for. */
export type Wanted = 'all' | 'errors' | 'misses' | 'derived' | 'kept';

const CONDITIONS: Record<Wanted, string[]> = {
  all: [],
  errors: ['status = error'],
  misses: ['span.aws.cloudfront.response_result_type = "Miss"'],
  derived: ['span.aws.cloudfront.context = "derived"'],
  kept: ['span.rootspan.kept_by != nil'],
};

/** Which records are meant; what is missing is any. */
export interface Where {
  distribution?: string | undefined;
  behaviour?: string | undefined;
}

/** The search for CDN spans between two times (milliseconds). */
export function tracesHref(where: Where, wanted: Wanted, start: number, end: number): string {
  const at: string[] = [];
  const { distribution = '', behaviour = '' } = where;
  // A log without the domain is told apart by the id, which has no dot.
  if (distribution !== '') at.push(`span.aws.cloudfront.${distribution.includes('.') ? 'distribution_domain' : 'distribution_id'} = ${quote(distribution)}`);
  if (behaviour !== '') at.push(`span.aws.cloudfront.cache_behavior = ${quote(behaviour)}`);
  const query = `{ ${[FROM_LOGS, ...at, ...CONDITIONS[wanted]].join(' && ')} }`;
  return searchHref({ query, range: { kind: 'between', start, end }, live: false });
}

/** A column of the table that can be sorted by. */
export type SortKey = 'name' | 'records' | 'errors' | 'hits' | 'sampled' | 'kept' | 'derived' | 'unplaced' | 'spans' | 'delay' | 'time' | 'misses';

const SORT_VALUES: Record<Exclude<SortKey, 'name'>, (counts: Counts) => number> = {
  records: (counts) => counts.records,
  errors: (counts) => share(errorsOf(counts), counts.records),
  hits: (counts) => share((counts.resultTypes['Hit'] ?? 0) + (counts.resultTypes['RefreshHit'] ?? 0), counts.records),
  sampled: (counts) => share(counts.sampled, counts.records),
  kept: (counts) => counts.kept,
  derived: (counts) => counts.derived,
  unplaced: (counts) => counts.unplaced,
  spans: (counts) => counts.spans,
  delay: (counts) => counts.delayP99Nanos ?? -1,
  time: (counts) => counts.durationP99Nanos ?? -1,
  misses: (counts) => share(counts.missesWithoutBackend, counts.missesExpected),
};

/** Distributions and their behaviours in the order of `sort`: a column, with `-` in front for the largest first. */
export function sortCoverage(distributions: CoverageDistribution[], sort: string): CoverageDistribution[] {
  const isDown = sort.startsWith('-');
  const key = isDown ? sort.slice(1) : sort;
  const value = Object.hasOwn(SORT_VALUES, key) ? SORT_VALUES[key as Exclude<SortKey, 'name'>] : undefined;
  const compare = (a: { totals: Counts; name: string }, b: { totals: Counts; name: string }): number => {
    const order = value === undefined ? 0 : value(a.totals) - value(b.totals);
    const settled = order === 0 ? a.name.localeCompare(b.name) : isDown ? -order : order;
    return key === 'name' && isDown ? -settled : settled;
  };
  return distributions
    .map((d) => ({ ...d, behaviours: [...d.behaviours].sort((a, b) => compare({ totals: a.totals, name: a.behaviour }, { totals: b.totals, name: b.behaviour })) }))
    .sort((a, b) => compare({ totals: a.totals, name: a.distribution }, { totals: b.totals, name: b.distribution }));
}
