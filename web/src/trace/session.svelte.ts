// What a trace page shows: the trace, what is open, where it is zoomed to, what is selected. Components read and call;
// the address is made from it.

import type { TraceAddress } from '../lib/address';
import { isExpandable, layoutRows, parentPlace, reveal, RowKind, type Rows } from '../lib/layout';
import { buildModel, nameOf, serviceOf, type TraceModel } from '../lib/model';
import { Flag, rowOfSpanId, spanIdOf, type TraceView } from '../lib/view';
import { clampView, isWhole, panView, zoomView, type Viewport } from '../lib/viewport';

/** A row of any kind, by what it stands for. */
export interface Selection {
  kind: number;
  ref: number;
}

/** More ids than this do not fit into an address anyway. */
const MOST_IDS = 100;

export class Session {
  readonly model: TraceModel;
  /** Nanoseconds the time axis covers. */
  readonly whole: number;
  /** Where the rows are scrolled to; kept when a newer answer takes the place of this one. */
  scrollTop = 0;
  collapsed = $state.raw<ReadonlySet<number>>(new Set());
  unfolded = $state.raw<ReadonlySet<number>>(new Set());
  pathOnly = $state(false);
  /** Times as received, not shifted by the server. */
  raw = $state(false);
  viewport = $state.raw<Viewport>({ from: 0, to: 1 });
  selected = $state.raw<Selection>();
  find = $state('');
  rows: Rows = $derived.by(() =>
    layoutRows(this.model, { collapsed: this.collapsed, unfolded: this.unfolded, pathOnly: this.pathOnly }),
  );
  /** Start of every row, by the clock in force. */
  starts: Float64Array = $derived.by(() => (this.raw ? this.#rawStarts() : this.model.view.start));
  /** Operations that match the search inside the trace. */
  matching: ReadonlySet<number> = $derived.by(() => this.#matchingOperations());
  matchCount: number = $derived.by(() => this.#countMatches());
  /** Place of the selected row, or -1 when it is not on show. */
  place: number = $derived.by(() => this.#placeOf(this.selected));

  constructor(view: TraceView, address: TraceAddress) {
    this.model = buildModel(view);
    this.whole = Math.max(view.header.durationNanos, 1);
    this.viewport = clampView({ from: address.from ?? 0, to: address.to ?? this.whole }, this.whole);
    this.pathOnly = address.pathOnly;
    this.raw = address.raw && view.header.shifts.length > 0;
    this.find = address.find;
    const closed = address.closed.map((id) => rowOfSpanId(view, id)).filter((row) => row !== -1);
    this.collapsed = new Set(closed);
    const opened = address.opened.map((id) => rowOfSpanId(view, id)).filter((row) => row !== -1);
    this.unfolded = new Set(opened.map((row) => this.model.foldOf[row]).filter((fold) => fold !== -1));
    const row = address.span === '' ? -1 : rowOfSpanId(view, address.span);
    if (row !== -1) this.selectSpan(row);
  }

  /** What the address says about this; whether it is live is the page's to know. */
  address(): Omit<TraceAddress, 'live'> {
    const { view, folds } = this.model;
    const zoomed = !isWhole(this.viewport, this.whole);
    return {
      traceId: view.header.traceId,
      span: this.selectedSpan === -1 ? '' : spanIdOf(view, this.selectedSpan),
      from: zoomed ? this.viewport.from : undefined,
      to: zoomed ? this.viewport.to : undefined,
      find: this.find,
      pathOnly: this.pathOnly,
      raw: this.raw,
      closed: [...this.collapsed].slice(0, MOST_IDS).map((row) => spanIdOf(view, row)),
      opened: [...this.unfolded].slice(0, MOST_IDS).map((fold) => spanIdOf(view, folds[fold].members[0])),
    };
  }

  /** Selected span row, or -1. */
  get selectedSpan(): number {
    return this.selected?.kind === RowKind.span ? this.selected.ref : -1;
  }

  /** Selects a span and opens what hides it. */
  selectSpan(row: number): void {
    const collapsed = new Set(this.collapsed);
    const unfolded = new Set(this.unfolded);
    reveal(this.model, row, collapsed, unfolded);
    if (collapsed.size !== this.collapsed.size) this.collapsed = collapsed;
    if (unfolded.size !== this.unfolded.size) this.unfolded = unfolded;
    if (this.pathOnly && (this.model.view.flags[row] & Flag.onPath) === 0) this.pathOnly = false;
    this.selected = { kind: RowKind.span, ref: row };
    this.#bringIntoView(row);
  }

  selectPlace(place: number): void {
    if (this.rows.count === 0) return;
    const at = Math.min(Math.max(place, 0), this.rows.count - 1);
    this.selected = { kind: this.rows.kind[at], ref: this.rows.ref[at] };
  }

  /** Moves the selection; the first move selects the first row. */
  move(by: number): void {
    this.selectPlace(this.place === -1 ? 0 : this.place + by);
  }

  isOpen(kind: number, ref: number): boolean {
    if (kind === RowKind.fold) return this.unfolded.has(ref);
    return kind === RowKind.span && !this.collapsed.has(ref);
  }

  setOpen(kind: number, ref: number, open: boolean): void {
    if (!isExpandable(this.model, kind, ref) || this.isOpen(kind, ref) === open) return;
    if (kind === RowKind.fold) this.unfolded = toggled(this.unfolded, ref, open);
    else this.collapsed = toggled(this.collapsed, ref, !open);
  }

  toggle(kind: number, ref: number): void {
    this.setOpen(kind, ref, !this.isOpen(kind, ref));
  }

  /** →: open, or go to the first child. */
  openOrEnter(): void {
    const at = this.selected;
    if (at === undefined) return this.move(0);
    if (!isExpandable(this.model, at.kind, at.ref)) return;
    if (this.isOpen(at.kind, at.ref)) this.move(1);
    else this.setOpen(at.kind, at.ref, true);
  }

  /** ←: close, or go to the parent. */
  closeOrLeave(): void {
    const at = this.selected;
    if (at === undefined) return;
    if (isExpandable(this.model, at.kind, at.ref) && this.isOpen(at.kind, at.ref)) this.setOpen(at.kind, at.ref, false);
    else if (this.place !== -1) {
      const parent = parentPlace(this.rows, this.place);
      if (parent !== -1) this.selectPlace(parent);
    }
  }

  openAll(): void {
    this.collapsed = new Set();
    this.unfolded = new Set(this.model.folds.keys());
  }

  /** Closes everything but the roots, so that there is something to see. */
  closeAll(): void {
    const { model } = this;
    const collapsed = new Set<number>();
    for (let row = 0; row < model.count; row++) if (isExpandable(model, RowKind.span, row)) collapsed.add(row);
    if (model.roots.length === 1) collapsed.delete(model.roots[0]);
    this.collapsed = collapsed;
    this.unfolded = new Set();
    if (this.place === -1) this.selected = undefined;
  }

  zoom(factor: number, at: number): void {
    this.viewport = zoomView(this.viewport, factor, at, this.whole);
  }

  /** Zooms around the selected span when it is in sight, else around the middle. */
  zoomByKey(factor: number): void {
    const { from, to } = this.viewport;
    const row = this.selectedSpan;
    const middle = row === -1 ? Number.NaN : this.starts[row] + this.model.view.duration[row] / 2;
    this.zoom(factor, middle >= from && middle <= to ? middle : (from + to) / 2);
  }

  pan(share: number): void {
    this.viewport = panView(this.viewport, share, this.whole);
  }

  show(viewport: Viewport): void {
    this.viewport = clampView(viewport, this.whole);
  }

  showAll(): void {
    this.viewport = { from: 0, to: this.whole };
  }

  /** The next span row after the selection that `wanted` accepts, around the end. */
  goToNext(wanted: (row: number) => boolean, by: 1 | -1 = 1): void {
    const { count } = this.model;
    const from = this.selectedSpan === -1 ? (by === 1 ? -1 : count) : this.selectedSpan;
    for (let step = 1; step <= count; step++) {
      const row = (((from + by * step) % count) + count) % count;
      if (wanted(row)) return this.selectSpan(row);
    }
  }

  nextError(): void {
    this.goToNext((row) => (this.model.view.flags[row] & Flag.error) !== 0);
  }

  nextMatch(by: 1 | -1): void {
    this.goToNext((row) => this.matching.has(this.model.view.operation[row]), by);
  }

  /** Escape: one thing at a time, the last one first. */
  clear(): void {
    if (this.selected !== undefined) this.selected = undefined;
    else if (this.find !== '') this.find = '';
    else if (this.pathOnly) this.pathOnly = false;
    else this.showAll();
  }

  /** Keeps the zoom but moves to a bar that lies outside of it. */
  #bringIntoView(row: number): void {
    const { from, to } = this.viewport;
    const start = this.starts[row];
    const end = start + this.model.view.duration[row];
    if (end >= from && start <= to) return;
    const middle = Math.min((start + end) / 2, start + (to - from) / 2);
    this.show({ from: middle - (to - from) / 2, to: middle + (to - from) / 2 });
  }

  #placeOf(selected: Selection | undefined): number {
    if (selected === undefined) return -1;
    if (selected.kind === RowKind.span) return this.rows.placeOf[selected.ref];
    for (let place = 0; place < this.rows.count; place++) {
      if (this.rows.kind[place] === selected.kind && this.rows.ref[place] === selected.ref) return place;
    }
    return -1;
  }

  #rawStarts(): Float64Array {
    const starts = this.model.view.start.slice();
    for (const [row, shift] of this.model.shiftOf) starts[row] -= shift;
    return starts;
  }

  #matchingOperations(): ReadonlySet<number> {
    const wanted = this.find.trim().toLowerCase();
    const { strings, operations } = this.model.view.header;
    const matching = new Set<number>();
    if (wanted === '') return matching;
    operations.forEach(([service, name], i) => {
      if (`${strings[service]} ${strings[name]}`.toLowerCase().includes(wanted)) matching.add(i);
    });
    return matching;
  }

  #countMatches(): number {
    if (this.matching.size === 0) return 0;
    return this.model.view.operation.reduce((count, operation) => count + (this.matching.has(operation) ? 1 : 0), 0);
  }

  /** `service, name` of a row, for labels. */
  title(row: number): string {
    return `${serviceOf(this.model.view, row) || 'unnamed service'}, ${nameOf(this.model.view, row) || 'unnamed span'}`;
  }
}

function toggled(set: ReadonlySet<number>, value: number, present: boolean): Set<number> {
  const copy = new Set(set);
  if (present) copy.add(value);
  else copy.delete(value);
  return copy;
}
