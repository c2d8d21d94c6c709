import { expect, test } from 'vitest';

import { pickTimeStep, timeTickLabel, timeTicks } from './time-axis.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

test.for([
  [300_000, 6, 60_000],
  [900_000, 6, 300_000],
  [3_600_000, 6, 600_000],
  [DAY_MS, 6, 6 * HOUR_MS],
  [7 * DAY_MS, 7, DAY_MS],
  [30 * DAY_MS, 6, 5 * DAY_MS],
  [365 * DAY_MS, 6, 61 * DAY_MS],
] as const)('pickTimeStep(%i, %i) is %i', ([rangeMs, ticksMax, stepMs]) =>
  expect(pickTimeStep(rangeMs, ticksMax)).toBe(stepMs),
);

test('timeTicks() falls on local multiples, not on those of UTC', () => {
  const fromMs = Date.UTC(2026, 0, 5, 20, 10);
  const india = (): number => 5.5 * HOUR_MS;
  const ticks = timeTicks(fromMs, fromMs + 12 * HOUR_MS, 6 * HOUR_MS, india);
  expect(ticks).toEqual([Date.UTC(2026, 0, 6, 0, 30), Date.UTC(2026, 0, 6, 6, 30)]);
});

test.for([
  // Clocks of Berlin go ahead at 01:00 UTC on 29 March 2026 and back at 01:00 UTC on 25 October.
  [Date.UTC(2026, 2, 29, 1), 1, 2],
  [Date.UTC(2026, 9, 25, 1), 2, 1],
] as const)('timeTicks() stays on local midnights when clocks change at %i', ([changeMs, hoursBefore, hoursAfter]) => {
  const offset = (atMs: number): number => (atMs < changeMs ? hoursBefore : hoursAfter) * HOUR_MS;
  const ticks = timeTicks(changeMs - 2 * DAY_MS, changeMs + 2 * DAY_MS, DAY_MS, offset);
  expect(ticks).toHaveLength(4);
  expect(ticks.map((tickMs) => (tickMs + offset(tickMs)) % DAY_MS)).toEqual([0, 0, 0, 0]);
});

test('timeTicks() of an empty range is empty', () => {
  expect(timeTicks(5, 4, 1000, () => 0)).toEqual([]);
});

test.for([
  [new Date(2026, 10, 12, 14, 2, 10), 5000, '14:02:10'],
  [new Date(2026, 10, 12, 14, 2, 0), 60_000, '14:02'],
  [new Date(2026, 10, 12, 0, 0, 0), 60_000, '12 Nov'],
  [new Date(2026, 10, 12, 1, 0, 0), DAY_MS, '12 Nov'],
] as const)('timeTickLabel(%o, %i) is %s', ([date, stepMs, label]) =>
  expect(timeTickLabel(date.getTime(), stepMs)).toBe(label),
);
