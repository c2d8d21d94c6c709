import { expect, test } from 'vitest';

import { openSampler, type SamplerOptions, type Tick } from './sampler.ts';
import { makeClock, settle } from './testing/clock.ts';

/** A sampler whose first tick is over, at a time from which the next one is not near. */
async function start(startMs: number, read: SamplerOptions['read'] = async () => []) {
  const clock = makeClock(startMs - 100);
  const ticksMs: number[] = [];
  const sampler = openSampler({ ...clock, read, everyMs: 5_000, take: ({ tsMs }) => ticksMs.push(tsMs) });
  await clock.advance(100);
  return { clock, sampler, ticksMs };
}

test('the sampler ticks at multiples of the interval on the wall clock', async () => {
  const { clock, ticksMs } = await start(12_300);
  await clock.advance(22_700);
  expect(ticksMs.slice(1)).toEqual([15_000, 20_000, 25_000, 30_000, 35_000]);
});

test.for([
  // started, the first two ticks, their intervals
  [12_301, [12_400, 15_000]],
  [12_300, [12_400, 15_000]],
  [12_999, [13_000, 15_000]],
  [13_001, [13_100, 20_000]],
  [14_950, [15_000, 20_000]],
] as const)('a sampler that starts at %i ticks at once, and then at %o', async ([startMs, expected]) => {
  const clock = makeClock(startMs);
  const ticks: Tick[] = [];
  openSampler({ ...clock, read: async () => [], everyMs: 5_000, take: (tick) => ticks.push(tick) });
  await clock.advance(10_000);
  expect(ticks.slice(0, 2).map(({ tsMs }) => tsMs)).toEqual(expected);
  expect(ticks.slice(0, 2).map(({ everyMs }) => everyMs)).toEqual([100, 5_000]);
});

test('no tick falls out when the timer fires early and the clock moves on between two looks', () => {
  const looksMs = [10_000, 10_099, 10_100, 10_100];
  const delaysMs: number[] = [];
  let fire = () => {};
  openSampler({
    read: async () => [],
    everyMs: 5_000,
    take: () => {},
    now: () => looksMs.shift() ?? 10_100,
    schedule: (run, delayMs) => {
      delaysMs.push(delayMs);
      fire = run;
      return () => {};
    },
  });
  fire();
  expect(delaysMs).toEqual([100, 1]);
});

test('setEvery() takes effect at once, in both directions', async () => {
  const { clock, sampler, ticksMs } = await start(10_000);
  await clock.advance(6_200);
  sampler.setEvery(1_000);
  await clock.advance(2_000);
  sampler.setEvery(5_000);
  await clock.advance(7_000);
  expect(ticksMs.slice(1)).toEqual([15_000, 17_000, 18_000, 20_000, 25_000]);
});

test.for([
  // what, by how much, ticks
  ['an hour forwards', 3_600_000, [5_000, 3_610_000, 3_615_000]],
  ['an hour backwards', -3_600_000, [5_000, -3_590_000, -3_585_000]],
  ['a second backwards', -1_000, [5_000, 10_000, 15_000]],
] as const)('the sampler goes on when the clock is set %s', async ([, byMs, expected]) => {
  const startMs = 36_000_000;
  const { clock, ticksMs } = await start(startMs);
  await clock.advance(7_000);
  clock.set(clock.now() + byMs);
  await clock.advance(10_000);
  expect(ticksMs.slice(1).map((tsMs) => tsMs - startMs)).toEqual(expected);
});

test('a tick that takes longer than the interval makes others fall out, and none overlap', async () => {
  const reads: (() => void)[] = [];
  const { clock, ticksMs } = await start(10_000, () => new Promise((resolve) => reads.push(() => resolve([]))));
  await clock.advance(17_000);
  expect(reads).toHaveLength(1);
  reads[0]?.();
  await settle();
  await clock.advance(3_000);
  expect(reads).toHaveLength(2);
  expect(ticksMs).toEqual([10_000]);
});

test('close() waits for the tick under way, and no other follows', async () => {
  const reads: (() => void)[] = [];
  const slow: SamplerOptions['read'] = () => new Promise((resolve) => reads.push(() => resolve([])));
  const { clock, sampler, ticksMs } = await start(10_000, slow);
  const closed = sampler.close();
  reads[0]?.();
  await closed;
  await clock.advance(60_000);
  expect(ticksMs).toEqual([10_000]);
});
