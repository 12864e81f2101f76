// Numbers, durations, sizes and times as text: three significant digits, always with a unit.

const DURATION_UNITS: [string, number][] = [
  ['ns', 1],
  ['µs', 1e3],
  ['ms', 1e6],
  ['s', 1e9],
];

/** `184 ms`, `1.24 s`, `3 min 20 s`. */
export function formatDuration(nanos: number): string {
  if (!Number.isFinite(nanos)) return '–';
  const sign = nanos < 0 ? '−' : '';
  const size = Math.abs(nanos);
  if (size === 0) return '0 ms';
  if (size >= 59.95e9) return sign + formatLong(size);
  for (const [unit, scale] of DURATION_UNITS) {
    const rounded = threeDigits(size / scale);
    // Rounding may reach the next unit: 999.6 µs is 1 ms.
    if (rounded < 1000 || unit === 's') return `${sign}${rounded} ${unit}`;
  }
  return `${sign}${threeDigits(size / 1e9)} s`;
}

/** A duration where there is little room: `25.9 min`, `1.03 h`, `2.5 days`; below a minute as ever. */
export function formatRoughDuration(nanos: number): string {
  if (!(Math.abs(nanos) >= 59.95e9) || !Number.isFinite(nanos)) return formatDuration(nanos);
  const minutes = nanos / 60e9;
  if (Math.abs(minutes) < 59.95) return `${threeDigits(minutes)} min`;
  return Math.abs(minutes) < 2_880 ? `${threeDigits(minutes / 60)} h` : `${threeDigits(minutes / 1440)} days`;
}

/** A duration from a log that counts whole milliseconds: its 0 is less than one. */
export function formatLoggedDuration(nanos: number): string {
  return nanos === 0 ? '< 1 ms' : formatDuration(nanos);
}

/** A time on an axis: as many digits as its step needs, in a unit that suits the step. */
export function formatTick(nanos: number, step: number): string {
  if (nanos === 0) return '0';
  const unit = [...DURATION_UNITS].reverse().find(([, scale]) => Math.abs(nanos) >= scale && step >= scale / 1000) ?? DURATION_UNITS[0];
  const digits = Math.max(0, -Math.floor(Math.log10(step / unit[1]) + 1e-9));
  return `${(nanos / unit[1]).toFixed(Math.min(digits, 6))} ${unit[0]}`;
}

/** `1.24 GB`; decimal units. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  for (const unit of units) {
    const rounded = unit === 'B' ? value : threeDigits(value);
    if (rounded < 1000 || unit === 'PB') return `${rounded} ${unit}`;
    value /= 1000;
  }
  return `${bytes} B`;
}

/** `12,345`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** `1 span`, `1,234 spans`. */
export function plural(count: number, word: string): string {
  return `${formatCount(count)} ${word}${count === 1 ? '' : 's'}`;
}

/** `12.3 %`; small shares, and what is missing to all, stay visible. */
export function formatShare(share: number): string {
  if (share > 0 && share < 0.001) return '< 0.1 %';
  if (share > 0.999) return share < 1 ? '> 99.9 %' : '100 %';
  return `${(share * 100).toFixed(1)} %`;
}

/** A rate with three digits. */
export function formatRate(perSecond: number): string {
  return threeDigits(perSecond).toLocaleString('en-US');
}

/** Nanoseconds since the epoch, from their decimal text, as milliseconds. */
export function nanosToMillis(nanos: string): number {
  return Number((BigInt(nanos) - fraction(nanos, 1_000_000n)) / 1_000_000n);
}

/** `2026-11-25 19:10:03.123 +01:00` in the viewer's zone. */
export function formatTime(millis: number): string {
  const time = new Date(millis);
  if (Number.isNaN(time.getTime())) return 'outside the calendar';
  return `${localDate(time)} ${localClock(time)} ${offsetOf(time)}`;
}

/** `19:10:03.123`, with the date before it unless it is today's. */
export function formatShortTime(millis: number, now: number): string {
  const time = new Date(millis);
  if (Number.isNaN(time.getTime())) return 'outside the calendar';
  const today = localDate(time) === localDate(new Date(now));
  return today ? localClock(time) : `${localDate(time)} ${localClock(time)}`;
}

/** A stretch of time in the viewer's zone: `19:10 – 19:15`, with the date unless it is today's. */
export function formatTimeOfStep(start: number, length: number, now = Date.now()): string {
  const [first, last] = [new Date(start), new Date(start + length)];
  if (Number.isNaN(first.getTime()) || Number.isNaN(last.getTime())) return 'outside the calendar';
  const [from, to, today] = [localDate(first), localDate(last), localDate(new Date(now))];
  const clock = (time: Date) => localClock(time).slice(0, length < 60_000 ? 8 : 5);
  const before = from === today ? '' : `${from} `;
  return `${before}${clock(first)} – ${to === from ? '' : `${to} `}${clock(last)}`;
}

/** `2026-11-25T18:10:03.123456789Z`, exact. */
export function isoTime(nanos: string): string {
  const time = new Date(nanosToMillis(nanos));
  if (Number.isNaN(time.getTime())) return `${nanos} ns`;
  const digits = fraction(nanos, 1_000_000_000n).toString().padStart(9, '0');
  return time.toISOString().replace(/\.\d{3}Z$/, `.${digits}Z`);
}

/** `0.4 s ago`: milliseconds say nothing here. */
export function formatAgo(millis: number): string {
  if (millis < 50) return 'just now';
  if (millis < 9_950) return `${(millis / 1000).toFixed(1)} s ago`;
  if (millis < 60_000) return `${Math.round(millis / 1000)} s ago`;
  if (millis < 3_600_000) return `${formatDuration(millis * 1e6)} ago`;
  if (millis < 172_800_000) return `${threeDigits(millis / 3_600_000)} h ago`;
  return `${threeDigits(millis / 86_400_000)} days ago`;
}

/** What is left over a whole unit, also before 1970. */
function fraction(nanos: string, unit: bigint): bigint {
  return ((BigInt(nanos) % unit) + unit) % unit;
}

function formatLong(nanos: number): string {
  const seconds = Math.round(nanos / 1e9);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes} min` : `${hours} h`;
  return seconds % 60 > 0 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
}

/** Rounded to three significant digits; larger whole numbers keep their digits. */
function threeDigits(value: number): number {
  return value >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

function localDate(time: Date): string {
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

function localClock(time: Date): string {
  const millis = String(time.getMilliseconds()).padStart(3, '0');
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${millis}`;
}

function offsetOf(time: Date): string {
  const minutes = -time.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '−' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}
