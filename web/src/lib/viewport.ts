// The part of a trace's time that is on screen, and the time axis. Pure arithmetic.

/** Nanoseconds since the trace's start. */
export interface Viewport {
  from: number;
  to: number;
}

/** Nothing is zoomed closer than this: nanosecond clocks have no more to show. */
const CLOSEST_NANOS = 1_000;

/** Keeps `view` inside `[0, whole]` and not closer than the closest zoom, keeping its width where it can. */
export function clampView(view: Viewport, whole: number): Viewport {
  const limit = Math.max(whole, CLOSEST_NANOS);
  const width = Math.min(Math.max(view.to - view.from, CLOSEST_NANOS), limit);
  const from = Math.min(Math.max(view.from, 0), limit - width);
  return { from, to: from + width };
}

/** Zooms by `factor` (< 1 is closer) so that the time under `at` stays where it is. */
export function zoomView(view: Viewport, factor: number, at: number, whole: number): Viewport {
  return clampView({ from: at - (at - view.from) * factor, to: at + (view.to - at) * factor }, whole);
}

/** Moves by a share of the width. */
export function panView(view: Viewport, share: number, whole: number): Viewport {
  const by = (view.to - view.from) * share;
  return clampView({ from: view.from + by, to: view.to + by }, whole);
}

/** Whether everything is shown. */
export function isWhole(view: Viewport, whole: number): boolean {
  return view.from <= 0 && view.to >= whole;
}

/** Times for the axis: at most `most` round steps (1, 2, 5 · 10ⁿ). */
export function ticks(view: Viewport, most: number): number[] {
  const width = view.to - view.from;
  if (!(width > 0) || most < 1) return [];
  const rough = width / most;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * magnitude).find((s) => s >= rough) ?? 10 * magnitude;
  const result: number[] = [];
  for (let i = Math.ceil(view.from / step); i * step <= view.to; i++) result.push(i * step);
  return result;
}
