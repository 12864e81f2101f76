// Where the time went: the server's critical-path segments added up by kind and service. Only sums, no analysis.

import { serviceOf } from './model';
import { SegmentKind, type PathRange, type TraceView } from './view';

/** A share of a path. */
export interface PathShare {
  kind: number;
  service: string;
  nanos: number;
  share: number;
  /** Row with the largest piece, to go to. */
  row: number;
}

/** Words for segment kinds. */
const KIND_LABELS: Record<number, string> = {
  [SegmentKind.self]: 'own work',
  [SegmentKind.netQueue]: 'network or queue',
  [SegmentKind.database]: 'database',
  [SegmentKind.external]: 'external call',
  [SegmentKind.queue]: 'waiting in a queue',
  [SegmentKind.gap]: 'not instrumented',
  [SegmentKind.edge]: 'CDN edge',
  [SegmentKind.edgeToOrigin]: 'edge → origin',
  [SegmentKind.originTransfer]: 'origin transfer',
  [SegmentKind.viewerTransfer]: 'viewer transfer',
};

/** Name of a segment kind. */
export function kindLabel(kind: number): string {
  return KIND_LABELS[kind] ?? `kind ${kind}`;
}

/** The path's time by kind and service, largest first. */
export function pathShares(view: TraceView, path: PathRange): PathShare[] {
  const shares = new Map<string, PathShare & { largest: number }>();
  let total = 0;
  for (let i = path.firstSegment; i < path.firstSegment + path.segmentCount; i++) {
    const row = view.segmentRow[i];
    const kind = view.segmentKind[i];
    const service = serviceOf(view, row);
    const nanos = view.segmentEnd[i] - view.segmentStart[i];
    total += nanos;
    const key = `${kind} ${service}`;
    let entry = shares.get(key);
    if (entry === undefined) {
      entry = { kind, service, nanos: 0, share: 0, row, largest: -1 };
      shares.set(key, entry);
    }
    entry.nanos += nanos;
    if (nanos > entry.largest) {
      entry.largest = nanos;
      entry.row = row;
    }
  }
  const sorted = [...shares.values()].sort((a, b) => b.nanos - a.nanos);
  return sorted.map(({ kind, service, nanos, row }) => ({ kind, service, nanos, row, share: total > 0 ? nanos / total : 0 }));
}
