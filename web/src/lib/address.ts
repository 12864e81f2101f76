// What the address bar holds. Everything that is seen can be read back from it.

import { readRange, writeRange, type TimeRange } from './range';

/** The search page. */
export interface SearchAddress {
  query: string;
  range: TimeRange;
  live: boolean;
}

/** The trace page; times in nanoseconds since the trace's start. */
export interface TraceAddress {
  traceId: string;
  span: string;
  from: number | undefined;
  to: number | undefined;
  find: string;
  pathOnly: boolean;
  raw: boolean;
  /** Span ids whose children are hidden. */
  closed: string[];
  /** Folds that are open, by the span id of their first member. */
  opened: string[];
  live: boolean;
}

/** The edge page; the chosen stretch of time in milliseconds. */
export interface EdgeAddress {
  range: TimeRange;
  live: boolean;
  /** What the selected row shows; a distribution without a behaviour is all of it. */
  distribution: string | undefined;
  behaviour: string | undefined;
  /** A column, with `-` in front for the largest first. */
  sort: string;
  /** What the charts in the rows show. */
  metric: EdgeMetric;
  from: number | undefined;
  to: number | undefined;
  /** Distributions whose behaviours are hidden. */
  closed: string[];
  /** The minutes are listed below the charts. */
  listed: boolean;
}

/** What the charts in the rows of the edge page can show, with words. */
export const EDGE_METRICS = { records: 'records', errors: 'errors', delay: 'delay p99', time: 'time p99' } as const;
export type EdgeMetric = keyof typeof EDGE_METRICS;

/** Where a path leads. */
export type Route = { page: 'search' } | { page: 'edge' } | { page: 'trace'; traceId: string } | { page: 'unknown' };

/** Rows of the edge page come with the busiest first. */
export const DEFAULT_EDGE_SORT = '-records';

/** More closed or opened rows than this are not worth an unreadable address. */
const MOST_LISTED = 40;

export function routeOf(path: string): Route {
  if (path === '/' || path === '/search') return { page: 'search' };
  if (/^\/edge\/?$/.test(path)) return { page: 'edge' };
  const trace = /^\/trace\/([0-9a-fA-F]{1,32})\/?$/.exec(path);
  if (trace !== null) return { page: 'trace', traceId: trace[1].toLowerCase().padStart(32, '0') };
  return { page: 'unknown' };
}

export function readSearch(params: URLSearchParams): SearchAddress {
  return { query: params.get('q') ?? '{}', range: readRange(params), live: params.get('live') === '1' };
}

/** Whether a query asks for every trace. */
export function isDefaultQuery(query: string): boolean {
  return /^\s*(\{\s*\}\s*)?$/.test(query);
}

export function searchHref(address: SearchAddress): string {
  const params = new URLSearchParams();
  if (!isDefaultQuery(address.query)) params.set('q', address.query);
  writeRange(params, address.range);
  if (address.live) params.set('live', '1');
  return withParams('/', params);
}

export function readTrace(traceId: string, params: URLSearchParams): TraceAddress {
  return {
    traceId,
    span: /^[0-9a-f]{16}$/.test(params.get('span') ?? '') ? (params.get('span') as string) : '',
    from: numberOf(params.get('from')),
    to: numberOf(params.get('to')),
    find: params.get('find') ?? '',
    pathOnly: params.get('path') === 'only',
    raw: params.get('clock') === 'raw',
    closed: idsOf(params.get('closed')),
    opened: idsOf(params.get('open')),
    live: params.get('live') === '1',
  };
}

export function traceHref(address: Partial<TraceAddress> & { traceId: string }): string {
  const params = new URLSearchParams();
  if (address.span) params.set('span', address.span);
  if (address.from !== undefined && address.to !== undefined) {
    params.set('from', String(Math.round(address.from)));
    params.set('to', String(Math.round(address.to)));
  }
  if (address.find) params.set('find', address.find);
  if (address.pathOnly) params.set('path', 'only');
  if (address.raw) params.set('clock', 'raw');
  setIds(params, 'closed', address.closed ?? []);
  setIds(params, 'open', address.opened ?? []);
  if (address.live) params.set('live', '1');
  return withParams(`/trace/${address.traceId}`, params);
}

export function readEdge(params: URLSearchParams): EdgeAddress {
  const metric = params.get('metric') ?? '';
  const distribution = params.get('distribution') ?? undefined;
  const [from, to] = [numberOf(params.get('from')), numberOf(params.get('to'))];
  const isStretch = from !== undefined && to !== undefined && from < to;
  return {
    range: readRange(params),
    live: params.get('live') === '1',
    distribution,
    behaviour: distribution === undefined ? undefined : (params.get('behaviour') ?? undefined),
    sort: /^-?[a-zA-Z]+$/.test(params.get('sort') ?? '') ? (params.get('sort') as string) : DEFAULT_EDGE_SORT,
    metric: Object.hasOwn(EDGE_METRICS, metric) ? (metric as EdgeMetric) : 'records',
    from: isStretch ? from : undefined,
    to: isStretch ? to : undefined,
    closed: params.getAll('closed').slice(0, MOST_LISTED),
    listed: params.get('list') === '1',
  };
}

export function edgeHref(address: Partial<EdgeAddress>): string {
  const params = new URLSearchParams();
  if (address.range !== undefined) writeRange(params, address.range);
  if (address.distribution !== undefined) {
    params.set('distribution', address.distribution);
    if (address.behaviour !== undefined) params.set('behaviour', address.behaviour);
  }
  if (address.from !== undefined && address.to !== undefined) {
    params.set('from', String(Math.round(address.from)));
    params.set('to', String(Math.round(address.to)));
  }
  if (address.sort !== undefined && address.sort !== DEFAULT_EDGE_SORT) params.set('sort', address.sort);
  if (address.metric !== undefined && address.metric !== 'records') params.set('metric', address.metric);
  for (const name of (address.closed ?? []).slice(0, MOST_LISTED)) params.append('closed', name);
  if (address.listed) params.set('list', '1');
  if (address.live) params.set('live', '1');
  return withParams('/edge', params);
}

function idsOf(text: string | null): string[] {
  return (text ?? '').split('.').filter((id) => /^[0-9a-f]{16}$/.test(id));
}

function setIds(params: URLSearchParams, name: string, ids: string[]): void {
  if (ids.length > 0 && ids.length <= MOST_LISTED) params.set(name, ids.join('.'));
}

function withParams(path: string, params: URLSearchParams): string {
  const text = params.toString();
  return text === '' ? path : `${path}?${text}`;
}

function numberOf(text: string | null): number | undefined {
  const value = Number(text ?? Number.NaN);
  return text !== null && text !== '' && Number.isFinite(value) ? value : undefined;
}
