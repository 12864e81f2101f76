// Which rows the waterfall shows, in which order: spans, folds of similar siblings, gaps. O(rows shown), no recursion.

import { FOLD_FROM, type TraceModel } from './model';
import { Flag, NO_PARENT } from './view';

/** What a row of the waterfall is. */
export const RowKind = { span: 0, fold: 1, gap: 2 } as const;

/** The rows on show. `ref` is a span row, a fold or a gap, by kind. */
export interface Rows {
  count: number;
  kind: Uint8Array;
  ref: Int32Array;
  depth: Uint16Array;
  /** Place of a span row in this list, or -1 when it is hidden. */
  placeOf: Int32Array;
}

/** What is closed, opened and filtered. */
export interface RowState {
  /** Span rows whose children are hidden. */
  collapsed: ReadonlySet<number>;
  /** Folds that are open. */
  unfolded: ReadonlySet<number>;
  /** Only rows of the critical path and what leads to them. */
  pathOnly: boolean;
}

/** Lays the rows out. */
export function layoutRows(model: TraceModel, state: RowState): Rows {
  const most = model.count + model.folds.length + model.gaps.length;
  const rows: Rows = {
    count: 0,
    kind: new Uint8Array(most),
    ref: new Int32Array(most),
    depth: new Uint16Array(most),
    placeOf: new Int32Array(model.count).fill(-1),
  };
  const keep = state.pathOnly ? pathRows(model) : undefined;
  const pending = new Pending();
  pushSiblings(model, state, keep, pending, model.roots, 0);
  while (pending.pop()) {
    const { kind, ref, depth } = pending;
    emit(rows, kind, ref, depth);
    if (kind === RowKind.fold) {
      if (state.unfolded.has(ref)) pushRows(pending, kept(model.folds[ref].members, keep), depth + 1);
    } else if (kind === RowKind.span && !state.collapsed.has(ref)) {
      pushSiblings(model, state, keep, pending, childrenOf(model, ref), depth + 1);
      // Pushed last, so shown first: the waiting comes before what was waited for.
      for (const gap of [...(model.gapsOf.get(ref) ?? [])].reverse()) pending.push(RowKind.gap, gap, depth + 1);
    }
  }
  return rows;
}

/** Whether a row can be opened and closed. */
export function isExpandable(model: TraceModel, kind: number, ref: number): boolean {
  if (kind === RowKind.fold) return true;
  return kind === RowKind.span && (model.childCount[ref] > 0 || model.gapsOf.has(ref));
}

/** Opens whatever hides `row`. */
export function reveal(model: TraceModel, row: number, collapsed: Set<number>, unfolded: Set<number>): void {
  for (let at = row; ; ) {
    if (model.foldOf[at] !== -1) unfolded.add(model.foldOf[at]);
    const parent = model.view.parent[at];
    if (parent === NO_PARENT) return;
    collapsed.delete(parent);
    at = parent;
  }
}

/** The place of the row one level up in the list, or -1. */
export function parentPlace(rows: Rows, place: number): number {
  for (let at = place - 1; at >= 0; at--) if (rows.depth[at] < rows.depth[place]) return at;
  return -1;
}

/** Children of a span row, in order. */
export function childrenOf(model: TraceModel, row: number): number[] {
  const children: number[] = [];
  for (let child = model.firstChild[row]; child !== -1; child = model.nextSibling[child]) children.push(child);
  return children;
}

/** A stack of rows still to be shown, without an object for each. */
class Pending {
  kind = 0;
  ref = 0;
  depth = 0;
  #stack: number[] = [];

  push(kind: number, ref: number, depth: number): void {
    this.#stack.push(kind, ref, depth);
  }

  pop(): boolean {
    if (this.#stack.length === 0) return false;
    this.depth = this.#stack.pop() as number;
    this.ref = this.#stack.pop() as number;
    this.kind = this.#stack.pop() as number;
    return true;
  }
}

function emit(rows: Rows, kind: number, ref: number, depth: number): void {
  const place = rows.count++;
  rows.kind[place] = kind;
  rows.ref[place] = ref;
  rows.depth[place] = Math.min(depth, 0xffff);
  if (kind === RowKind.span) rows.placeOf[ref] = place;
}

/** Siblings with folds in the place of their first member. */
function pushSiblings(
  model: TraceModel,
  state: RowState,
  keep: Uint8Array | undefined,
  pending: Pending,
  siblings: number[],
  depth: number,
): void {
  const shown = kept(siblings, keep);
  // A path filter leaves few members: then they stand for themselves.
  const folded = state.pathOnly ? foldsWithEnough(model, shown) : undefined;
  const seen = new Set<number>();
  const items: [number, number][] = [];
  for (const row of shown) {
    const fold = model.foldOf[row];
    if (fold === -1 || (folded !== undefined && !folded.has(fold))) items.push([RowKind.span, row]);
    else if (!seen.has(fold)) {
      seen.add(fold);
      items.push([RowKind.fold, fold]);
    }
  }
  for (let i = items.length - 1; i >= 0; i--) pending.push(items[i][0], items[i][1], depth);
}

function pushRows(pending: Pending, rows: number[], depth: number): void {
  for (let i = rows.length - 1; i >= 0; i--) pending.push(RowKind.span, rows[i], depth);
}

function kept(rows: number[], keep: Uint8Array | undefined): number[] {
  return keep === undefined ? rows : rows.filter((row) => keep[row] === 1);
}

function foldsWithEnough(model: TraceModel, rows: number[]): Set<number> {
  const members = new Map<number, number>();
  for (const row of rows) {
    const fold = model.foldOf[row];
    if (fold !== -1) members.set(fold, (members.get(fold) ?? 0) + 1);
  }
  return new Set([...members].filter(([, count]) => count >= FOLD_FROM).map(([fold]) => fold));
}

/** Rows of the critical path and all that leads to them. Children come after their parents, so one pass backwards does. */
function pathRows(model: TraceModel): Uint8Array {
  const keep = new Uint8Array(model.count);
  for (let row = model.count - 1; row >= 0; row--) {
    if (model.view.flags[row] & Flag.onPath) keep[row] = 1;
    const parent = model.view.parent[row];
    if (keep[row] === 1 && parent !== NO_PARENT) keep[parent] = 1;
  }
  return keep;
}
