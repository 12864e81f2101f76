import { describe, expect, it } from 'vitest';
import { encode, makeView } from './fixture';
import { buildModel } from './model';
import { decodeView, NO_PARENT, rowOfSpanId, spanIdOf, ViewError } from './view';

const SPANS = [
  { parent: -1, service: 'cloudfront', name: 'GET /', start: 0, duration: 100, flags: 0x102, lane: 1 },
  { parent: 0, service: 'nginx', name: 'GET /', start: 10, duration: 80 },
  { parent: 1, service: 'upstream', name: 'λ – ☁', start: 20, duration: 60, flags: 1 },
];

describe('decodeView', () => {
  it('reads every column', () => {
    const view = makeView(SPANS, [{ row: 1, kind: 7, start: 10, end: 20.5 }]);
    expect(view.header.traceId).toBe('ab'.repeat(16));
    expect([...view.start]).toEqual([0, 10, 20]);
    expect([...view.duration]).toEqual([100, 80, 60]);
    expect([...view.parent]).toEqual([NO_PARENT, 0, 1]);
    expect([...view.depth]).toEqual([0, 1, 2]);
    expect([...view.flags]).toEqual([0x102, 0, 1]);
    expect([...view.segmentEnd]).toEqual([20.5]);
    expect([...view.segmentKind]).toEqual([7]);
    expect(view.header.strings[view.header.operations[view.operation[2]][1]]).toBe('λ – ☁');
  });

  it('finds rows by span id and back', () => {
    const view = makeView(SPANS);
    expect(spanIdOf(view, 1)).toBe('0000000000000002');
    expect(rowOfSpanId(view, '0000000000000003')).toBe(2);
    expect(rowOfSpanId(view, '00000000000000ff')).toBe(-1);
    expect(rowOfSpanId(view, 'no id')).toBe(-1);
  });

  it('reads an empty trace', () => {
    expect(makeView([]).header.spanCount).toBe(0);
  });

  it('refuses what is cut anywhere', () => {
    const whole = encode(SPANS, [{ row: 1, kind: 0, start: 0, end: 1 }]);
    for (let length = 0; length < whole.byteLength - 8; length++) {
      expect(() => decodeView(whole.slice(0, length)), `cut at ${length}`).toThrow();
    }
  });

  it('reads a shift for every one of 100,000 spans, each looked at once', () => {
    const count = 100_000;
    const spans = Array.from({ length: count }, (_, i) => ({ parent: i === 0 ? -1 : 0, service: 'downstream', name: 'work', start: i, duration: 1, flags: 8 }));
    const buffer = encode(spans, [], spans.map((_, i) => [i, -i]));
    const view = decodeView(buffer);
    expect(view.header.shifts.length).toBe(count);
    let reads = 0;
    view.header.shifts = new Proxy(view.header.shifts, {
      get: (shifts, key) => {
        if (typeof key === 'string' && /^\d+$/.test(key)) reads += 1;
        return Reflect.get(shifts, key);
      },
    });
    const { shiftOf } = buildModel(view);
    expect(reads).toBe(count);
    expect([shiftOf.size, shiftOf.get(1), shiftOf.get(count - 1)]).toEqual([count, -1, 1 - count]);
  });

  it('refuses another format and references that lead nowhere', () => {
    const other = encode(SPANS);
    new DataView(other).setUint8(3, 0x32);
    expect(() => decodeView(other)).toThrow(ViewError);
    expect(() => makeView([SPANS[0], { ...SPANS[1], parent: 1 }])).toThrow('row 1 lies before its parent');
    expect(() => makeView(SPANS, [{ row: 9, kind: 0, start: 0, end: 1 }])).toThrow('segment 0 has an unknown row');
  });
});
