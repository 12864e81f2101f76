// The time range of a search: relative (`1h`) or absolute, and its form in the address.

/** A relative range ends now; an absolute one is fixed (milliseconds). */
export type TimeRange = { kind: 'last'; last: string } | { kind: 'between'; start: number; end: number };

/** Relative ranges on offer: name in the address, words, milliseconds. */
export const PRESETS: [string, string, number][] = [
  ['5m', 'Last 5 minutes', 300_000],
  ['15m', 'Last 15 minutes', 900_000],
  ['1h', 'Last hour', 3_600_000],
  ['6h', 'Last 6 hours', 21_600_000],
  ['24h', 'Last 24 hours', 86_400_000],
  ['3d', 'Last 3 days', 259_200_000],
  ['all', 'All that is stored', Infinity],
];

/** Roots from access logs come up to an hour late; a shorter default would miss them. */
export const DEFAULT_RANGE: TimeRange = { kind: 'last', last: '1h' };

/** From the address; anything unreadable is the default. */
export function readRange(params: URLSearchParams): TimeRange {
  const start = Number(params.get('start') ?? Number.NaN);
  const end = Number(params.get('end') ?? Number.NaN);
  if (Number.isFinite(start) && Number.isFinite(end) && start < end) return { kind: 'between', start, end };
  const last = params.get('range');
  return PRESETS.some(([name]) => name === last) ? { kind: 'last', last: last as string } : DEFAULT_RANGE;
}

/** Into the address; the default leaves no trace. */
export function writeRange(params: URLSearchParams, range: TimeRange): void {
  for (const name of ['range', 'start', 'end']) params.delete(name);
  if (range.kind === 'between') {
    params.set('start', String(range.start));
    params.set('end', String(range.end));
  } else if (range.last !== '1h') {
    params.set('range', range.last);
  }
}

/** Bounds in Unix seconds for the API; none for everything. */
export function rangeSeconds(range: TimeRange, now: number): { start: number; end: number } | undefined {
  if (range.kind === 'between') return { start: range.start / 1000, end: range.end / 1000 };
  const length = PRESETS.find(([name]) => name === range.last)?.[2] ?? 3_600_000;
  // Clocks of senders run ahead now and then: a relative range ends a minute from now.
  return Number.isFinite(length) ? { start: (now - length) / 1000, end: (now + 60_000) / 1000 } : undefined;
}

/** Words for the button. */
export function rangeLabel(range: TimeRange): string {
  if (range.kind === 'last') return PRESETS.find(([name]) => name === range.last)?.[1] ?? range.last;
  return `${localInput(range.start).replace('T', ' ')} – ${localInput(range.end).replace('T', ' ')}`;
}

/** Milliseconds as the value of a `datetime-local` field. */
export function localInput(millis: number): string {
  const time = new Date(millis);
  const two = (value: number) => String(value).padStart(2, '0');
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${date}T${two(time.getHours())}:${two(time.getMinutes())}`;
}
