import { expect, test } from 'vitest';

import { planPast } from './past.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const LIVE_MS = Date.UTC(2026, 10, 23, 9, 30);

test.for([
  ['half an hour', 0.5 * HOUR_MS],
  ['five hours', 5 * HOUR_MS],
  ['three days', 3 * DAY_MS],
  ['a month', 30 * DAY_MS],
  ['ninety days and some', 90.3 * DAY_MS],
] as const)('planPast() tells %s without a hole, no day in two, the last hour or two as samples', ([, pastMs]) => {
  const fromMs = Math.floor((LIVE_MS - pastMs) / HOUR_MS) * HOUR_MS;
  const { stretches, samplesMs } = planPast(fromMs, LIVE_MS);
  expect(samplesMs % HOUR_MS).toBe(0);
  expect(LIVE_MS - samplesMs).toBeGreaterThan(0);
  expect(LIVE_MS - samplesMs).toBeLessThan(2 * HOUR_MS);
  let nextMs = fromMs;
  const days = new Set<number>();
  for (const { ticksMs, everyMs } of stretches) {
    expect(ticksMs.length).toBeLessThanOrEqual(288);
    expect(ticksMs[0]).toBe(nextMs);
    for (const [i, tickMs] of ticksMs.entries()) expect(tickMs).toBe(nextMs + i * everyMs);
    const own = new Set(ticksMs.map((tickMs) => Math.floor(tickMs / DAY_MS)));
    for (const day of own) {
      expect(days.has(day)).toBe(false);
      days.add(day);
      expect(everyMs).toBe(LIVE_MS - day * DAY_MS > 15 * DAY_MS ? HOUR_MS : 5 * MINUTE_MS);
    }
    nextMs += ticksMs.length * everyMs;
  }
  expect(nextMs).toBe(Math.max(fromMs, samplesMs));
});
