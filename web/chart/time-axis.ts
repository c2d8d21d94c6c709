import { formatDay, formatHourMinute, formatTime } from '../format.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** The steps that people count time in. */
const STEPS_MS = [
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND_MS),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE_MS),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR_MS),
  ...[1, 2, 5, 7, 14].map((count) => count * DAY_MS),
];

/** How far local time is ahead of UTC at an instant. */
export type ZoneOffset = (atMs: number) => number;

/** The shortest step that puts at most `ticksMax` ticks on a range. */
export function pickTimeStep(rangeMs: number, ticksMax: number): number {
  return STEPS_MS.find((stepMs) => rangeMs / stepMs <= ticksMax) ?? Math.ceil(rangeMs / ticksMax / DAY_MS) * DAY_MS;
}

/** The instants in a range at which local clocks show a multiple of the step, also across a change of the offset. */
export function timeTicks(fromMs: number, toMs: number, stepMs: number, zoneOffset: ZoneOffset): number[] {
  const ticks: number[] = [];
  const firstLocalMs = Math.ceil((fromMs + zoneOffset(fromMs)) / stepMs) * stepMs;
  // One step more than the range: the clock may be put back an hour inside it.
  for (let localMs = firstLocalMs; localMs <= toMs + zoneOffset(toMs) + stepMs; localMs += stepMs) {
    const guessMs = localMs - zoneOffset(localMs - zoneOffset(fromMs));
    if (guessMs >= fromMs && guessMs <= toMs && guessMs > (ticks.at(-1) ?? Number.NEGATIVE_INFINITY))
      ticks.push(guessMs);
  }
  return ticks;
}

/** What a tick says: no more than its step needs, and the day where a new one begins. */
export function timeTickLabel(atMs: number, stepMs: number): string {
  const time = formatTime(atMs);
  if (stepMs >= DAY_MS || time === '00:00:00') return formatDay(atMs);
  return stepMs < MINUTE_MS ? time : formatHourMinute(atMs);
}

/** The browser's own zone. */
export function localZoneOffset(atMs: number): number {
  return -new Date(atMs).getTimezoneOffset() * MINUTE_MS;
}
