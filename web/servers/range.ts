const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The stretches of time that a host's charts can show, up to now. */
export const RANGES = [
  { key: '5m', title: '5 min', rangeMs: 5 * MINUTE_MS },
  { key: '15m', title: '15 min', rangeMs: 15 * MINUTE_MS },
  { key: '1h', title: '1 h', rangeMs: HOUR_MS },
  { key: '6h', title: '6 h', rangeMs: 6 * HOUR_MS },
  { key: '24h', title: '24 h', rangeMs: DAY_MS },
  { key: '7d', title: '7 d', rangeMs: 7 * DAY_MS },
  { key: '30d', title: '30 d', rangeMs: 30 * DAY_MS },
] as const;

export type Range = (typeof RANGES)[number];

const RANGE_DEFAULT: Range = RANGES[1];
/** Up to here live values join what is stored; beyond, a point is a mean of minutes that one sample says little of. */
const LIVE_MS_MAX = HOUR_MS;

/** How many points a chart over a long range has: how finely the collector thins them out. */
const POINTS = 600;
const REFRESH_MS_MIN = 60_000;

/** The range that the address bar names; anything else is the default. */
export function parseRange(text: unknown): Range {
  return RANGES.find(({ key }) => key === text) ?? RANGE_DEFAULT;
}

export function isLive(range: Range): boolean {
  return range.rangeMs <= LIVE_MS_MAX;
}

/**
 * How often what is stored is read again: when a long range has a new point, and now and then for the late samples of
 * an agent that was cut off.
 */
export function refreshMs(range: Range): number {
  return Math.max(REFRESH_MS_MIN, range.rangeMs / POINTS);
}
