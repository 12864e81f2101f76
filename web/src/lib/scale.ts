// The shared scale of the duration bars in a list.

/** An outlier this many times longer than nine tenths of the list would make every other bar a dot. */
const OUTLIER = 4;

/** End of the scale in the unit of `values`, and whether some reach beyond it. */
export function barScale(values: number[]): { end: number; cuts: boolean } {
  if (values.length === 0) return { end: 0, cuts: false };
  const sorted = [...values].sort((a, b) => a - b);
  const longest = sorted[sorted.length - 1];
  const most = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.9))];
  if (most <= 0 || longest <= most * OUTLIER) return { end: longest, cuts: false };
  return { end: sorted.findLast((value) => value <= most * OUTLIER) ?? most, cuts: true };
}
