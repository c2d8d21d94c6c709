/** What stands where a value is not known. */
export const UNKNOWN = '–';

/** What a number on screen measures, which decides how it is written. Rates are per second, ratios 0…1. */
export type Quantity = 'ratio' | 'bytes' | 'byte-rate' | 'rate' | 'number';

// A number and its unit stay on one line.
const SPACE = '\u00a0';
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const;
const COUNT_PREFIXES = ['', 'k', 'M', 'G'] as const;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Younger than this counts as now: agents push every five seconds, and a number that ticks says nothing then. */
const NOW_MS = 10 * SECOND_MS;

const FORMATS: Readonly<Record<Quantity, (value: number | null) => string>> = {
  ratio: formatRatio,
  bytes: formatBytes,
  'byte-rate': formatByteRate,
  rate: formatRate,
  number: formatNumber,
};

export function formatQuantity(quantity: Quantity, value: number | null): string {
  return FORMATS[quantity](value);
}

/** A ratio 0…1 as percent; nothing but a full one is rounded up to 100. */
export function formatRatio(ratio: number | null): string {
  if (!isKnown(ratio)) return UNKNOWN;
  const percent = ratio * 100;
  if (percent > 99 && percent < 100) return `${(Math.floor(percent * 10) / 10).toFixed(1)}${SPACE}%`;
  return `${formatShort(percent, 10)}${SPACE}%`;
}

export function formatBytes(bytes: number | null): string {
  if (!isKnown(bytes)) return UNKNOWN;
  const [scaled, unit] = scale(bytes, 1024, BYTE_UNITS);
  return `${unit === 'B' ? Math.round(scaled) : formatShort(scaled, 100)}${SPACE}${unit}`;
}

export function formatByteRate(bytesPerSecond: number | null): string {
  return isKnown(bytesPerSecond) ? `${formatBytes(bytesPerSecond)}/s` : UNKNOWN;
}

export function formatRate(perSecond: number | null): string {
  if (!isKnown(perSecond)) return UNKNOWN;
  const [scaled, prefix] = scale(perSecond, 1000, COUNT_PREFIXES);
  return `${formatShort(scaled, 100)}${prefix === '' ? '' : `${SPACE}${prefix}`}/s`;
}

/** A plain number such as a load average. */
export function formatNumber(value: number | null): string {
  if (!isKnown(value)) return UNKNOWN;
  if (Math.abs(value) < 100) return value.toFixed(2);
  return formatCount(Math.round(value));
}

/** A whole number, its thousands apart: `1,000`. */
export function formatCount(count: number | null): string {
  return isKnown(count) ? String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ',') : UNKNOWN;
}

/** The two largest units of a duration: `12 d 4 h`. */
export function formatDuration(durationMs: number | null): string {
  if (!isKnown(durationMs)) return UNKNOWN;
  const totalSeconds = Math.max(0, Math.floor(durationMs / SECOND_MS));
  const days = Math.floor(totalSeconds / 86_400);
  const hours = Math.floor(totalSeconds / 3600) % 24;
  const minutes = Math.floor(totalSeconds / 60) % 60;
  if (days > 0) return `${days}${SPACE}d ${hours}${SPACE}h`;
  if (hours > 0) return `${hours}${SPACE}h ${minutes}${SPACE}min`;
  if (minutes > 0) return `${minutes}${SPACE}min ${totalSeconds % 60}${SPACE}s`;
  return `${totalSeconds}${SPACE}s`;
}

/** How long ago, in the largest unit that fits. A clock that is a little ahead is no reason to speak of the future. */
export function formatAge(ageMs: number | null): string {
  if (!isKnown(ageMs)) return UNKNOWN;
  return ageMs < NOW_MS ? 'now' : formatElapsed(ageMs);
}

/** As `formatAge`, but to the second from the start: `3 s ago`. */
export function formatElapsed(ageMs: number): string {
  if (ageMs < MINUTE_MS) return `${Math.max(0, Math.floor(ageMs / SECOND_MS))}${SPACE}s ago`;
  if (ageMs < HOUR_MS) return `${Math.floor(ageMs / MINUTE_MS)}${SPACE}min ago`;
  if (ageMs < 2 * DAY_MS) return `${Math.floor(ageMs / HOUR_MS)}${SPACE}h ago`;
  return `${Math.floor(ageMs / DAY_MS)}${SPACE}d ago`;
}

/** Local time of day: `14:02:10`. */
export function formatTime(atMs: number): string {
  return `${formatHourMinute(atMs)}:${twoDigits(new Date(atMs).getSeconds())}`;
}

/** Local time of day without the seconds: `14:02`. */
export function formatHourMinute(atMs: number): string {
  const date = new Date(atMs);
  return `${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}`;
}

/** Local day: `12 Nov`. */
export function formatDay(atMs: number): string {
  const date = new Date(atMs);
  return `${date.getDate()} ${MONTHS[date.getMonth()] ?? ''}`;
}

/** Local day and time of day: `12 Nov 14:02:10`. */
export function formatInstant(atMs: number | null): string {
  return isKnown(atMs) ? `${formatDay(atMs)} ${formatTime(atMs)}` : UNKNOWN;
}

function isKnown(value: number | null): value is number {
  return value !== null && Number.isFinite(value);
}

/** One decimal below `wholeFrom`, none from there on. */
function formatShort(value: number, wholeFrom: number): string {
  // 9.96 would become "10.0" beside a plain "10".
  const tenths = Math.round(value * 10) / 10;
  return Math.abs(tenths) < wholeFrom && tenths !== 0 ? tenths.toFixed(1) : String(Math.round(value));
}

/** The value in the largest unit that leaves it at 1 or more once rounded. */
function scale<Unit extends string>(value: number, step: number, units: readonly [Unit, ...Unit[]]): [number, Unit] {
  let scaled = value;
  let index = 0;
  while (Math.abs(scaled) >= step - 0.5 && index < units.length - 1) {
    scaled /= step;
    index += 1;
  }
  return [scaled, units[index] ?? units[0]];
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
