// What a chart over time needs beside uPlot: fills with patterns, the words of its axes, the steps under the pointer.

import { PATTERNS, TILE, type ResultStyle } from './results';

/** A line or an area. */
export interface ChartSeries {
  label: string;
  /** One for each step; null where there is none. */
  values: (number | null)[];
  style: ResultStyle;
  /** A line of dashes, for the lower of two percentiles. */
  dashed?: boolean;
}

/** The steps of an axis: first start and length in milliseconds, and how many. */
export interface Steps {
  start: number;
  length: number;
  count: number;
}

/** How far apart marks of a time axis may be, in nanoseconds: 1, 2, 5 below a minute, then what a clock has. */
export const TIME_STEPS: number[] = [
  ...Array.from({ length: 11 }, (_, digits) => [1, 2, 5].map((first) => first * 10 ** digits)).flat().filter((nanos) => nanos <= 20e9),
  ...[0.5, 1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 14_400].map((minutes) => minutes * 60e9),
];

/** The colour with its pattern, for a canvas whose pixels are `ratio` times smaller than the page's. */
export function makeFill(style: ResultStyle, colour: string, ink: string, ratio: number): CanvasPattern | string {
  if (style.pattern === undefined) return colour;
  const tile = document.createElement('canvas');
  const size = Math.max(TILE, Math.round(TILE * ratio));
  tile.width = size;
  tile.height = size;
  const draw = tile.getContext('2d');
  if (draw === null) return colour;
  draw.fillStyle = colour;
  draw.fillRect(0, 0, size, size);
  draw.scale(size / TILE, size / TILE);
  draw.strokeStyle = ink;
  draw.globalAlpha = 0.75;
  draw.lineWidth = 1.3;
  draw.stroke(new Path2D(PATTERNS[style.pattern]));
  return draw.createPattern(tile, 'repeat') ?? colour;
}

/** Values on top of each other: each series plus all before it. */
export function stacked(series: ChartSeries[]): number[][] {
  const sums: number[][] = [];
  for (const { values } of series) {
    const below = sums.at(-1);
    sums.push(values.map((value, i) => (value ?? 0) + (below?.[i] ?? 0)));
  }
  return sums;
}

/** Places whose neighbours are empty: a line does not show them. */
export function alone(values: ArrayLike<number | null | undefined>): number[] {
  const has = (i: number) => values[i] !== null && values[i] !== undefined;
  return Array.from({ length: values.length }, (_, i) => i).filter((i) => has(i) && !has(i - 1) && !has(i + 1));
}

/** Times on the axis: the clock, or the date where the day changes or the marks are days apart. */
export function clockLabels(seconds: number[], apart: number): string[] {
  const two = (value: number) => String(value).padStart(2, '0');
  return seconds.map((second) => {
    const time = new Date(second * 1000);
    const isMidnight = time.getHours() === 0 && time.getMinutes() === 0 && time.getSeconds() === 0;
    if (apart >= 86_400 || isMidnight) return `${two(time.getMonth() + 1)}-${two(time.getDate())}`;
    const clock = `${two(time.getHours())}:${two(time.getMinutes())}`;
    return apart < 60 ? `${clock}:${two(time.getSeconds())}` : clock;
  });
}

/** The step at a time, if there is one. */
export function stepAt(steps: Steps, millis: number): number | undefined {
  const index = Math.floor((millis - steps.start) / steps.length);
  return index >= 0 && index < steps.count ? index : undefined;
}

/** Whole steps that cover a stretch, in milliseconds. */
export function snap(steps: Steps, from: number, to: number): { from: number; to: number } {
  const first = Math.min(Math.max(Math.floor((from - steps.start) / steps.length), 0), steps.count - 1);
  const last = Math.min(Math.max(Math.ceil((to - steps.start) / steps.length), first + 1), steps.count);
  return { from: steps.start + first * steps.length, to: steps.start + last * steps.length };
}
