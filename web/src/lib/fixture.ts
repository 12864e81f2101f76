// Traces for the module tests, written by the fixture server's encoder and read by ours.

import { encodeView } from '../../test/encode.mjs';
import { decodeView, type TraceView } from './view';

/** A span in a few words: parent row, service, name, start, duration; more by name. */
export interface TestSpan {
  parent: number;
  service: string;
  name: string;
  start: number;
  duration: number;
  flags?: number;
  lane?: number;
}

/** A piece of the critical path. */
export interface TestSegment {
  row: number;
  kind: number;
  start: number;
  end: number;
}

/** The answer of the server for a trace. */
export function encode(spans: TestSpan[], segments: TestSegment[] = [], shifts: [number, number][] = []): ArrayBuffer {
  const full = spans.map((span, i) => ({ lane: 0, kind: 2, flags: 0, links: [], ...span, id: (i + 1).toString(16).padStart(16, '0') }));
  const duration = Math.max(0, ...spans.map((span) => span.start + span.duration));
  const bytes = encodeView({ id: 'ab'.repeat(16), startMillis: 1_700_000_000_000, spans: full, segments, shifts, notices: [], duration, errors: 0 });
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}

/** The same, decoded. */
export function makeView(spans: TestSpan[], segments: TestSegment[] = [], shifts: [number, number][] = []): TraceView {
  return decodeView(encode(spans, segments, shifts));
}
