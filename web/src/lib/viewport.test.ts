import { expect, it } from 'vitest';
import { clampView, isWhole, panView, ticks, zoomView } from './viewport';

const WHOLE = 1_000_000;

it('zooms around a time and stays inside', () => {
  expect(zoomView({ from: 0, to: WHOLE }, 0.5, 500_000, WHOLE)).toEqual({ from: 250_000, to: 750_000 });
  expect(zoomView({ from: 0, to: 100_000 }, 4, 0, WHOLE)).toEqual({ from: 0, to: 400_000 });
  expect(zoomView({ from: 0, to: WHOLE }, 10, 0, WHOLE)).toEqual({ from: 0, to: WHOLE });
});

it('never zooms closer than a microsecond', () => {
  const view = zoomView({ from: 0, to: 2000 }, 0.0001, 1000, WHOLE);
  expect(view.to - view.from).toBeCloseTo(1000);
});

it('pans to the end and no further', () => {
  expect(panView({ from: 800_000, to: 1_000_000 }, 1, WHOLE)).toEqual({ from: 800_000, to: 1_000_000 });
  expect(panView({ from: 0, to: 200_000 }, 0.5, WHOLE)).toEqual({ from: 100_000, to: 300_000 });
});

it('shows something for a trace without extent', () => {
  const view = clampView({ from: 0, to: 0 }, 0);
  expect(view.to).toBeGreaterThan(view.from);
  expect(isWhole(view, 0)).toBe(true);
});

it('puts ticks on round steps', () => {
  expect(ticks({ from: 0, to: 1240 }, 5)).toEqual([0, 500, 1000]);
  expect(ticks({ from: 310, to: 390 }, 4)).toEqual([320, 340, 360, 380]);
  expect(ticks({ from: 5, to: 5 }, 4)).toEqual([]);
});
