import { expect, it } from 'vitest';
import { formatAgo, formatBytes, formatDuration, formatLoggedDuration, formatRoughDuration, formatShare, formatTick, formatTimeOfStep, isoTime, plural } from './format';
import { charOffset } from './position';
import { barScale } from './scale';

it.each([
  [0, '0 ms'],
  [1, '1 ns'],
  [999, '999 ns'],
  [1_500, '1.5 µs'],
  [999_600, '1 ms'],
  [38_000_000, '38 ms'],
  [184_260_000, '184 ms'],
  [1_237_000_000, '1.24 s'],
  [59_900_000_000, '59.9 s'],
  [200_000_000_000, '3 min 20 s'],
  [7_260_000_000_000, '2 h 1 min'],
  [-5_000_000, '−5 ms'],
  [Number.NaN, '–'],
])('formatDuration(%d) is %s', (nanos, text) => {
  expect(formatDuration(nanos)).toBe(text);
});

it.each([
  [0, '0 ms'],
  [59_900_000_000, '59.9 s'],
  [59_960_000_000, '0.999 min'],
  [1_554_000_000_000, '25.9 min'],
  [3_599_000_000_000, '1 h'],
  [86_400_000_000_000, '24 h'],
  [172_800_000_000_000, '2 days'],
  [Number.NaN, '–'],
])('formatRoughDuration(%d) is %s', (nanos, text) => {
  expect(formatRoughDuration(nanos)).toBe(text);
});

it('says a stretch of time with the date where it is not today', () => {
  const at = (day: number, hour: number, minute: number, second = 0) => new Date(2026, 10, day, hour, minute, second).getTime();
  expect(formatTimeOfStep(at(25, 9, 5), 60_000, at(25, 12, 0))).toBe('09:05 – 09:06');
  expect(formatTimeOfStep(at(25, 9, 5, 10), 10_000, at(25, 12, 0))).toBe('09:05:10 – 09:05:20');
  expect(formatTimeOfStep(at(24, 23, 0), 7_200_000, at(25, 12, 0))).toBe('2026-11-24 23:00 – 2026-11-25 01:00');
  expect(formatTimeOfStep(Number.NaN, 1)).toBe('outside the calendar');
});

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1_000, '1 kB'],
  [3_412_345, '3.41 MB'],
  [10_000_000_000, '10 GB'],
])('formatBytes(%d) is %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

it('gives axis times the digits their step needs', () => {
  expect([0, 500e6, 1e9].map((t) => formatTick(t, 500e6))).toEqual(['0', '500 ms', '1.0 s']);
  expect([1_234_500_000, 1_235_000_000].map((t) => formatTick(t, 500_000))).toEqual(['1234.5 ms', '1235.0 ms']);
});

it('knows that a log of milliseconds cannot say zero', () => {
  expect([0, 1_000_000].map(formatLoggedDuration)).toEqual(['< 1 ms', '1 ms']);
});

it('keeps nanoseconds in ISO times', () => {
  expect(isoTime('1764094203123456789')).toBe('2025-11-25T18:10:03.123456789Z');
  expect(isoTime('-1')).toBe('1969-12-31T23:59:59.999999999Z');
  expect(isoTime('-170141183460469231731687303715884105728')).toContain('ns');
  expect(isoTime('18446744073709551615')).toBe('2554-07-21T23:34:33.709551615Z');
});

it('says how long ago, how much, how many', () => {
  expect([-3_000, 0, 400, 1_000, 42_300, 59_700, 90_000, 7_200_000].map(formatAgo)).toEqual([
    'just now', 'just now', '0.4 s ago', '1.0 s ago', '42 s ago', '60 s ago', '1 min 30 s ago', '2 h ago',
  ]);
  expect(formatShare(0.0004)).toBe('< 0.1 %');
  expect(formatShare(0.411)).toBe('41.1 %');
  expect([0.9989, 0.9995, 1].map(formatShare)).toEqual(['99.9 %', '> 99.9 %', '100 %']);
  expect([plural(1, 'span'), plural(20_000, 'span')]).toEqual(['1 span', '20,000 spans']);
});

it('turns byte offsets into places in the text', () => {
  expect(charOffset('{ a == b }', 5)).toBe(5);
  expect(charOffset('"é☁😀" =', 11)).toBe(6);
  expect(charOffset('ab', 99)).toBe(2);
});

it('cuts bars that would hide all others', () => {
  expect(barScale([])).toEqual({ end: 0, cuts: false });
  expect(barScale([1, 2, 3])).toEqual({ end: 3, cuts: false });
  expect(barScale([...Array(20).fill(10), 1000])).toEqual({ end: 10, cuts: true });
});
