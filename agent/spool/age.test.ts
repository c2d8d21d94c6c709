import { expect, test } from 'vitest';

import { drain, fill, gapsOf, makeDirectory, makeTick, openTestSpool as open } from '../testing/spool.ts';

const HOUR_MS = 3_600_000;

test('what has been over the limit of age for an hour is given up, the oldest first, and it says exactly how many', () => {
  let nowMs = 0;
  const spool = open({ ageMsMax: HOUR_MS, now: () => nowMs });
  for (nowMs = 60_000; nowMs <= 6 * HOUR_MS; nowMs += 60_000) fill(spool, [[makeTick(nowMs, 2, 60_000)]]);
  const parcels = drain(spool);
  const ticksMs = parcels.flatMap(({ batch }) => batch.ticksMs);
  expect(Math.min(...ticksMs)).toBeGreaterThanOrEqual(4 * HOUR_MS);
  expect(Math.min(...ticksMs)).toBeLessThanOrEqual(5.25 * HOUR_MS);
  expect(gapsOf(parcels).reduce((sum, { dropped }) => sum + dropped, 0)).toBe(720 - 2 * ticksMs.length);
  expect(gapsOf(parcels).map(({ fromMs, reason }) => [fromMs, reason])).toContainEqual([60_000, 'age']);
});

test.for([
  // by how much the clock is wrong, for how many minutes, with a start of the agent in it; how many of 10 old ticks are lost
  [48 * HOUR_MS, 30, false, 0],
  [48 * HOUR_MS, 30, true, 0],
  [48 * HOUR_MS, 70, false, 10],
  [-48 * HOUR_MS, 30, false, 0],
  [-48 * HOUR_MS, 70, true, 0],
] as const)(
  'when the clock is %i ms wrong for %i minutes, with a start in between: %s, %i ticks of before are given up',
  ([wrongMs, minutes, isStarted, lost]) => {
    const directory = makeDirectory();
    const startMs = 1_000 * HOUR_MS;
    let nowMs = startMs;
    let spool = open({ directory, ageMsMax: 24 * HOUR_MS, now: () => nowMs });
    const run = (count: number): void => {
      for (let minute = 0; minute < count; minute += 1) {
        nowMs += 60_000;
        fill(spool, [[makeTick(nowMs, 1, 60_000)]]);
      }
    };
    run(10);
    nowMs += wrongMs;
    if (isStarted) spool = open({ directory, ageMsMax: 24 * HOUR_MS, now: () => nowMs });
    run(minutes);
    nowMs -= wrongMs;
    run(70);
    const ticksMs = drain(spool).flatMap(({ batch }) => batch.ticksMs);
    const before = ticksMs.filter((tsMs) => tsMs > startMs && tsMs <= startMs + 10 * 60_000);
    expect(10 - before.length).toBe(lost);
  },
);

test.for(['settle', 'release', 'kill'] as const)(
  'what is on its way is given up only when it waits again: %s',
  (end) => {
    const directory = makeDirectory();
    let nowMs = 2_000;
    const options = { directory, ageMsMax: HOUR_MS, now: () => nowMs };
    const first = open(options);
    fill(first, [[makeTick(1_000)], [makeTick(2_000)]]);
    const parcel = first.takeNewest();
    nowMs = 5 * HOUR_MS;
    fill(first, [[makeTick(nowMs, 2, HOUR_MS)]]);
    if (parcel !== null && end !== 'kill') first[end](parcel);
    const spool = end === 'kill' ? open(options) : first;
    fill(spool, [[makeTick(nowMs + HOUR_MS, 2, HOUR_MS)]]);
    const parcels = drain(spool).filter(({ batch }) => batch.ticksMs[0] !== 2_000);
    const age = { kind: 'gap', dropped: 2, reason: 'age' };
    const older = { ...age, fromMs: 1_000, toMs: 1_000, seq: 1 };
    const gaps = gapsOf(parcels)
      .filter(({ reason }) => reason === 'age')
      .toSorted((a, b) => a.fromMs - b.fromMs);
    expect(gaps).toEqual(end === 'settle' ? [older] : [older, { ...age, fromMs: 2_000, toMs: 2_000, seq: 2 }]);
  },
);
