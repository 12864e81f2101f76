import { describe, expect, it } from 'vitest';
import { alone, clockLabels, snap, stacked, stepAt, TIME_STEPS, type ChartSeries } from './chart';
import { resultLabel, resultOrder, resultStyle } from './results';

const STEPS = { start: 600_000, length: 60_000, count: 10 };

describe('charts', () => {
  it('find the step under the pointer', () => {
    expect(stepAt(STEPS, 600_000)).toBe(0);
    expect(stepAt(STEPS, 719_999)).toBe(1);
    expect(stepAt(STEPS, 599_999)).toBeUndefined();
    expect(stepAt(STEPS, 1_200_000)).toBeUndefined();
  });

  it('choose whole steps, at least one, within the axis', () => {
    expect(snap(STEPS, 610_000, 790_000)).toEqual({ from: 600_000, to: 840_000 });
    expect(snap(STEPS, 660_000, 660_000)).toEqual({ from: 660_000, to: 720_000 });
    expect(snap(STEPS, 0, 9_999_999)).toEqual({ from: 600_000, to: 1_200_000 });
    expect(snap(STEPS, 1_199_999, 1_300_000)).toEqual({ from: 1_140_000, to: 1_200_000 });
  });

  it('stack values on those below; none is nothing', () => {
    const series = (...values: (number | null)[]): ChartSeries => ({ label: '', values, style: resultStyle('Hit') });
    expect(stacked([series(1, 2), series(null, 3), series(4, 0)])).toEqual([[1, 2], [1, 5], [5, 5]]);
    expect(stacked([])).toEqual([]);
  });

  it('know the points that no line shows', () => {
    expect(alone([1, null, 2, 3, null, 0])).toEqual([0, 5]);
    expect(alone([null, 4, undefined])).toEqual([1]);
    expect(alone([])).toEqual([]);
  });

  it('have the clock on the axis, and the date where the day changes', () => {
    const at = (day: number, hour = 0, minute = 0, second = 0) => new Date(2026, 10, day, hour, minute, second).getTime() / 1000;
    expect(clockLabels([at(25, 23, 45), at(26)], 900)).toEqual(['23:45', '11-26']);
    expect(clockLabels([at(25, 9, 5, 30)], 30)).toEqual(['09:05:30']);
    expect(clockLabels([at(25, 1)], 86_400)).toEqual(['11-25']);
  });

  it('have rising steps on the axis of durations', () => {
    expect([...TIME_STEPS].sort((a, b) => a - b)).toEqual(TIME_STEPS);
    expect(new Set(TIME_STEPS).size).toBe(TIME_STEPS.length);
  });
});

describe('result types', () => {
  it('stack from what went well to what failed, unknown ones between', () => {
    expect(resultOrder(['Error', 'Zebra', 'Miss', 'Hit', 'Apple', 'LimitExceeded'])).toEqual(['Hit', 'Miss', 'Apple', 'Zebra', 'LimitExceeded', 'Error']);
  });

  it('have words, and a style whatever their name', () => {
    expect(resultLabel('FunctionGeneratedResponse')).toBe('Function generated response');
    expect(resultLabel('-')).toBe('not logged');
    expect(resultStyle('__proto__')).toBe(resultStyle('Anything'));
  });
});
