// Decoder of `/api/v1/traces/{id}/view`: one trace as columns in pre-order.
//
// Layout, little-endian: `RSV1`, u32 length H of the JSON header, H bytes of header padded with spaces to a multiple of
// eight, then the columns one after another, each padded with zeros to a multiple of eight. The arrays below are views of
// the received buffer, nothing is copied.

/** No parent. */
export const NO_PARENT = 0xffff_ffff;

/** Bits of the `flags` column. */
export const Flag = {
  error: 1 << 0,
  onPath: 1 << 1,
  orphan: 1 << 2,
  skewed: 1 << 3,
  estimated: 1 << 4,
  hasEvents: 1 << 5,
  hasLinks: 1 << 6,
  async: 1 << 7,
  root: 1 << 8,
  conflict: 1 << 9,
  keptBy: 1 << 10,
  derivedIds: 1 << 11,
} as const;

/** Where a span was made; decides its icon and pattern. */
export const Lane = { service: 0, cdn: 1, proxy: 2, database: 3, queue: 4, external: 5 } as const;

/** What a piece of the critical path is. */
export const SegmentKind = {
  self: 0,
  netQueue: 1,
  database: 2,
  external: 3,
  queue: 4,
  gap: 5,
  edge: 6,
  edgeToOrigin: 7,
  originTransfer: 8,
  viewerTransfer: 9,
} as const;

/** A sentence about the trace, with the rows it is about (at most 100). */
export interface Notice {
  kind: string;
  text: string;
  rows: number[];
}

/** One critical path: a range of the segment columns. */
export interface PathRange {
  entryRow: number;
  firstSegment: number;
  segmentCount: number;
}

/** The JSON part of the answer. */
export interface ViewHeader {
  traceId: string;
  spanCount: number;
  segmentCount: number;
  startTimeUnixNano: string;
  durationNanos: number;
  errorCount: number;
  strings: string[];
  /** Service string, name string, lane, OTLP kind. */
  operations: [number, number, number, number][];
  paths: PathRange[];
  links: [number, number][];
  shifts: [number, number][];
  notices: Notice[];
}

/** A decoded trace. Times are nanoseconds since the trace's start. */
export interface TraceView {
  header: ViewHeader;
  spanId: Uint8Array;
  start: Float64Array;
  duration: Float32Array;
  parent: Uint32Array;
  operation: Uint32Array;
  depth: Uint16Array;
  flags: Uint16Array;
  segmentStart: Float64Array;
  segmentEnd: Float64Array;
  segmentRow: Uint32Array;
  segmentKind: Uint8Array;
}

/** The answer is not what this page can read. */
export class ViewError extends Error {
  override name = 'ViewError';
}

const MAGIC = 0x3156_5352; // `RSV1`, little-endian

/** Reads a whole answer; throws [`ViewError`] when it is cut short or inconsistent. */
export function decodeView(buffer: ArrayBuffer): TraceView {
  const { header, offset } = decodeHeader(buffer);
  const n = header.spanCount;
  const m = header.segmentCount;
  const columns = new Columns(buffer, offset);
  const view: TraceView = {
    header,
    spanId: columns.next(Uint8Array, n * 8),
    start: columns.next(Float64Array, n),
    duration: columns.next(Float32Array, n),
    parent: columns.next(Uint32Array, n),
    operation: columns.next(Uint32Array, n),
    depth: columns.next(Uint16Array, n),
    flags: columns.next(Uint16Array, n),
    segmentStart: columns.next(Float64Array, m),
    segmentEnd: columns.next(Float64Array, m),
    segmentRow: columns.next(Uint32Array, m),
    segmentKind: columns.next(Uint8Array, m),
  };
  checkReferences(view);
  return view;
}

/** Span id of a row as hex. */
export function spanIdOf(view: TraceView, row: number): string {
  let text = '';
  for (let i = row * 8; i < row * 8 + 8; i++) text += view.spanId[i].toString(16).padStart(2, '0');
  return text;
}

/** First row with this span id, or -1. */
export function rowOfSpanId(view: TraceView, spanId: string): number {
  if (!/^[0-9a-f]{16}$/.test(spanId)) return -1;
  const wanted = Uint8Array.from({ length: 8 }, (_, i) => Number.parseInt(spanId.slice(i * 2, i * 2 + 2), 16));
  for (let row = 0; row < view.header.spanCount; row++) {
    let i = 0;
    while (i < 8 && view.spanId[row * 8 + i] === wanted[i]) i++;
    if (i === 8) return row;
  }
  return -1;
}

function decodeHeader(buffer: ArrayBuffer): { header: ViewHeader; offset: number } {
  if (buffer.byteLength < 8) throw new ViewError('the answer is shorter than its header');
  const data = new DataView(buffer);
  if (data.getUint32(0, true) !== MAGIC) throw new ViewError('the answer is not a trace view (RSV1)');
  const length = data.getUint32(4, true);
  if (8 + length > buffer.byteLength) throw new ViewError('the answer ends inside its header');
  const text = new TextDecoder().decode(new Uint8Array(buffer, 8, length));
  const header = JSON.parse(text) as ViewHeader;
  if (!Number.isInteger(header.spanCount) || !Number.isInteger(header.segmentCount)) {
    throw new ViewError('the header does not say how many spans follow');
  }
  return { header, offset: padded(8 + length) };
}

type TypedArray<T> = { new (buffer: ArrayBuffer, offset: number, length: number): T; BYTES_PER_ELEMENT: number };

/** Cuts one column after another off the buffer. */
class Columns {
  #buffer: ArrayBuffer;
  #offset: number;

  constructor(buffer: ArrayBuffer, offset: number) {
    this.#buffer = buffer;
    this.#offset = offset;
  }

  next<T>(type: TypedArray<T>, length: number): T {
    const bytes = length * type.BYTES_PER_ELEMENT;
    if (this.#offset + bytes > this.#buffer.byteLength) throw new ViewError('the answer ends inside its columns');
    const column = new type(this.#buffer, this.#offset, length);
    this.#offset = padded(this.#offset + bytes);
    return column;
  }
}

/** Everything after this may index without asking. */
function checkReferences(view: TraceView): void {
  const { header, parent, operation, segmentRow } = view;
  for (let row = 0; row < header.spanCount; row++) {
    if (parent[row] !== NO_PARENT && parent[row] >= row) throw new ViewError(`row ${row} lies before its parent`);
    if (operation[row] >= header.operations.length) throw new ViewError(`row ${row} has an unknown operation`);
  }
  for (let i = 0; i < header.segmentCount; i++) {
    if (segmentRow[i] >= header.spanCount) throw new ViewError(`segment ${i} has an unknown row`);
  }
  for (const [service, name] of header.operations) {
    if (header.strings[service] === undefined || header.strings[name] === undefined) {
      throw new ViewError('an operation has an unknown string');
    }
  }
}

function padded(length: number): number {
  return Math.ceil(length / 8) * 8;
}
