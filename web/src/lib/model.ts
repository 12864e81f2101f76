// What the trace page needs beside the columns: children, folds of similar siblings, gaps of the critical path. Built once
// for a trace in O(n); no recursion, traces are as deep as somebody's loop.

import { formatDuration, formatLoggedDuration } from './format';
import { Flag, Lane, NO_PARENT, SegmentKind, type PathRange, type TraceView } from './view';

/** So many similar siblings become one `×N` row. */
export const FOLD_FROM = 5;

/** A gap below this share of the trace gets no row of its own; it stays in the summary. The way to the origin always has one. */
const GAP_ROW_SHARE = 0.005;

/** Similar siblings shown as one row. */
export interface Fold {
  members: number[];
  /** Extent of all members and the sum of their durations. */
  start: number;
  end: number;
  total: number;
  errors: number;
  onPath: boolean;
}

/** Waiting that no span covers: pieces of the critical path of one kind, in one span. */
export interface Gap {
  row: number;
  kind: number;
  segments: number[];
  start: number;
  end: number;
  total: number;
}

/** A trace ready to be laid out and drawn. */
export interface TraceModel {
  view: TraceView;
  count: number;
  roots: number[];
  firstChild: Int32Array;
  nextSibling: Int32Array;
  childCount: Uint32Array;
  /** Place among its siblings, from 1. */
  position: Uint32Array;
  /** Spans below with an error. */
  errorsBelow: Uint32Array;
  /** Spans below. */
  below: Uint32Array;
  folds: Fold[];
  /** Fold of a row, or -1. */
  foldOf: Int32Array;
  gaps: Gap[];
  gapsOf: Map<number, number[]>;
  /** Critical-path segments by row: those of `row` are `segmentOrder[segmentFrom[row] .. segmentFrom[row + 1]]`. */
  segmentFrom: Uint32Array;
  segmentOrder: Uint32Array;
  /** Nanoseconds a row was moved by, for rows flagged as skewed. */
  shiftOf: Map<number, number>;
  linksOf: Map<number, number>;
  services: { name: string; spans: number; errors: number }[];
}

/** Derives everything. */
export function buildModel(view: TraceView): TraceModel {
  const children = buildChildren(view);
  const folds = buildFolds(view, children.firstChild, children.nextSibling, children.roots);
  const segments = indexSegments(view);
  const gaps = buildGaps(view);
  return {
    view,
    count: view.header.spanCount,
    ...children,
    ...folds,
    ...segments,
    ...gaps,
    shiftOf: new Map(view.header.shifts),
    linksOf: new Map(view.header.links),
    services: countServices(view),
  };
}

/** Service of a row. */
export function serviceOf(view: TraceView, row: number): string {
  return view.header.strings[view.header.operations[view.operation[row]][0]];
}

/** Span name of a row. */
export function nameOf(view: TraceView, row: number): string {
  return view.header.strings[view.header.operations[view.operation[row]][1]];
}

/** Lane of a row. */
export function laneOf(view: TraceView, row: number): number {
  return view.header.operations[view.operation[row]][2];
}

/** Duration of a row as text. CDN spans are made from access logs, which count milliseconds. */
export function durationOf(view: TraceView, row: number): string {
  const nanos = view.duration[row];
  return laneOf(view, row) === Lane.cdn ? formatLoggedDuration(nanos) : formatDuration(nanos);
}

/** The path that explains the trace: the one of the longest entry span. */
export function mainPath(view: TraceView): PathRange | undefined {
  let best: PathRange | undefined;
  for (const path of view.header.paths) {
    if (best === undefined || view.duration[path.entryRow] > view.duration[best.entryRow]) best = path;
  }
  return best;
}

function buildChildren(view: TraceView) {
  const count = view.header.spanCount;
  const firstChild = new Int32Array(count).fill(-1);
  const nextSibling = new Int32Array(count).fill(-1);
  const childCount = new Uint32Array(count);
  const errorsBelow = new Uint32Array(count);
  const below = new Uint32Array(count);
  const position = new Uint32Array(count);
  const roots: number[] = [];
  for (let row = count - 1; row >= 0; row--) {
    const parent = view.parent[row];
    if (parent === NO_PARENT) {
      roots.push(row);
      continue;
    }
    nextSibling[row] = firstChild[parent];
    firstChild[parent] = row;
    childCount[parent] += 1;
    below[parent] += below[row] + 1;
    errorsBelow[parent] += errorsBelow[row] + (view.flags[row] & Flag.error ? 1 : 0);
  }
  roots.reverse();
  roots.forEach((row, i) => (position[row] = i + 1));
  for (let row = 0; row < count; row++) {
    let place = 1;
    for (let child = firstChild[row]; child !== -1; child = nextSibling[child]) position[child] = place++;
  }
  return { roots, firstChild, nextSibling, childCount, position, errorsBelow, below };
}

function buildFolds(view: TraceView, firstChild: Int32Array, nextSibling: Int32Array, roots: number[]) {
  const folds: Fold[] = [];
  const foldOf = new Int32Array(view.header.spanCount).fill(-1);
  const fold = (siblings: Iterable<number>) => {
    const similar = new Map<number, number[]>();
    for (const row of siblings) {
      const rows = similar.get(view.operation[row]);
      if (rows === undefined) similar.set(view.operation[row], [row]);
      else rows.push(row);
    }
    for (const members of similar.values()) {
      if (members.length < FOLD_FROM) continue;
      for (const row of members) foldOf[row] = folds.length;
      folds.push(summariseFold(view, members));
    }
  };
  fold(roots);
  for (let row = 0; row < view.header.spanCount; row++) {
    if (firstChild[row] !== -1) fold(chain(firstChild[row], nextSibling));
  }
  return { folds, foldOf };
}

function* chain(first: number, next: Int32Array): Generator<number> {
  for (let row = first; row !== -1; row = next[row]) yield row;
}

function summariseFold(view: TraceView, members: number[]): Fold {
  const fold: Fold = { members, start: Infinity, end: -Infinity, total: 0, errors: 0, onPath: false };
  for (const row of members) {
    fold.start = Math.min(fold.start, view.start[row]);
    fold.end = Math.max(fold.end, view.start[row] + view.duration[row]);
    fold.total += view.duration[row];
    if (view.flags[row] & Flag.error) fold.errors += 1;
    if (view.flags[row] & Flag.onPath) fold.onPath = true;
  }
  return fold;
}

function indexSegments(view: TraceView) {
  const segmentFrom = new Uint32Array(view.header.spanCount + 1);
  for (const row of view.segmentRow) segmentFrom[row + 1] += 1;
  for (let row = 0; row < view.header.spanCount; row++) segmentFrom[row + 1] += segmentFrom[row];
  const next = segmentFrom.slice();
  const segmentOrder = new Uint32Array(view.header.segmentCount);
  for (let i = 0; i < view.header.segmentCount; i++) segmentOrder[next[view.segmentRow[i]]++] = i;
  return { segmentFrom, segmentOrder };
}

function buildGaps(view: TraceView) {
  const gaps = new Map<string, Gap>();
  for (let i = 0; i < view.header.segmentCount; i++) {
    const kind = view.segmentKind[i];
    if (!isGapKind(view, i)) continue;
    const row = view.segmentRow[i];
    const key = `${row}/${kind}`;
    let gap = gaps.get(key);
    if (gap === undefined) {
      gap = { row, kind, segments: [], start: Infinity, end: -Infinity, total: 0 };
      gaps.set(key, gap);
    }
    gap.segments.push(i);
    gap.start = Math.min(gap.start, view.segmentStart[i]);
    gap.end = Math.max(gap.end, view.segmentEnd[i]);
    gap.total += view.segmentEnd[i] - view.segmentStart[i];
  }
  const least = view.header.durationNanos * GAP_ROW_SHARE;
  const shown = [...gaps.values()].filter((gap) => gap.kind === SegmentKind.edgeToOrigin || gap.total >= least);
  const gapsOf = new Map<number, number[]>();
  shown.forEach((gap, i) => gapsOf.set(gap.row, [...(gapsOf.get(gap.row) ?? []), i]));
  return { gaps: shown, gapsOf };
}

/** Time on a queue *span* (producer, consumer) is that span's own bar; only waiting between spans is a gap. */
function isGapKind(view: TraceView, segment: number): boolean {
  const kind = view.segmentKind[segment];
  if (kind === SegmentKind.queue) return laneOf(view, view.segmentRow[segment]) !== Lane.queue;
  return kind === SegmentKind.netQueue || kind === SegmentKind.edgeToOrigin || kind === SegmentKind.gap;
}

function countServices(view: TraceView) {
  const byName = new Map<string, { name: string; spans: number; errors: number }>();
  for (let row = 0; row < view.header.spanCount; row++) {
    const name = serviceOf(view, row);
    const entry = byName.get(name) ?? { name, spans: 0, errors: 0 };
    byName.set(name, entry);
    entry.spans += 1;
    if (view.flags[row] & Flag.error) entry.errors += 1;
  }
  return [...byName.values()];
}
