import { err, ok } from '@muster/proto/result';
import { expect, test } from 'vitest';

import { openSampler } from './sampler.ts';
import type { Source } from './source.ts';
import { makeClock, settle } from './testing/clock.ts';
import { makeEvents } from './testing/events.ts';

const UPTIME: Source = {
  name: 'uptime',
  read: async () => ok({ samples: [{ metric: 'system.uptime', labels: '', value: 1 }] }),
};

function start(startMs: number, sources: readonly Source[] = [UPTIME]) {
  const clock = makeClock(startMs);
  const events = makeEvents();
  const ticksMs: number[] = [];
  const counts: number[] = [];
  const sampler = openSampler({
    ...clock,
    sources,
    everyMs: 5_000,
    log: events.log,
    take: ({ tsMs, samples }) => {
      ticksMs.push(tsMs);
      counts.push(samples.length);
    },
  });
  return { clock, events, sampler, ticksMs, counts };
}

test('the sampler ticks at multiples of the interval on the wall clock', async () => {
  const { clock, ticksMs } = start(12_345);
  await clock.advance(20_000);
  expect(ticksMs).toEqual([15_000, 20_000, 25_000, 30_000]);
});

test('no tick falls out when the timer fires early and the clock moves on between two looks', () => {
  const looksMs = [10_000, 14_999, 15_000, 15_000];
  const delaysMs: number[] = [];
  let fire = () => {};
  openSampler({
    sources: [],
    everyMs: 5_000,
    log: makeEvents().log,
    take: () => {},
    now: () => looksMs.shift() ?? 15_000,
    schedule: (run, delayMs) => {
      delaysMs.push(delayMs);
      fire = run;
      return () => {};
    },
  });
  fire();
  expect(delaysMs).toEqual([5_000, 1]);
});

test('setEvery() takes effect at once, in both directions', async () => {
  const { clock, sampler, ticksMs } = start(10_000);
  await clock.advance(6_200);
  sampler.setEvery(1_000);
  await clock.advance(2_000);
  sampler.setEvery(5_000);
  await clock.advance(7_000);
  expect(ticksMs).toEqual([15_000, 17_000, 18_000, 20_000, 25_000]);
});

test.for([
  // what, by how much, ticks
  ['an hour forwards', 3_600_000, [5_000, 3_610_000, 3_615_000]],
  ['an hour backwards', -3_600_000, [5_000, -3_590_000, -3_585_000]],
  ['a second backwards', -1_000, [5_000, 10_000, 15_000]],
] as const)('the sampler goes on when the clock is set %s', async ([, byMs, expected]) => {
  const startMs = 36_000_000;
  const { clock, ticksMs } = start(startMs);
  await clock.advance(7_000);
  clock.set(clock.now() + byMs);
  await clock.advance(10_000);
  expect(ticksMs.map((tsMs) => tsMs - startMs)).toEqual(expected);
});

test('a tick that takes longer than the interval makes others fall out, and none overlap', async () => {
  const reads: (() => void)[] = [];
  const slow: Source = {
    name: 'slow',
    read: () => new Promise((resolve) => reads.push(() => resolve(ok({ samples: [] })))),
  };
  const { clock, ticksMs } = start(10_000, [slow]);
  await clock.advance(17_000);
  expect(reads).toHaveLength(1);
  reads[0]?.();
  await settle();
  await clock.advance(3_000);
  expect(reads).toHaveLength(2);
  expect(ticksMs).toEqual([15_000]);
});

test('a source that fails or throws disturbs no other, and is logged once per change', async () => {
  let mood: 'throws' | 'fails' | 'remarks' | 'works' = 'throws';
  const moody: Source = {
    name: 'moody',
    read: async () => {
      if (mood === 'throws') throw new Error('Cannot read it', { cause: new Error('EIO') });
      if (mood === 'fails') return err('it is empty');
      return ok(mood === 'remarks' ? { samples: [], remark: 'one is left out' } : { samples: [] });
    },
  };
  const { clock, events, counts } = start(10_000, [moody, UPTIME]);
  for (const next of ['throws', 'fails', 'remarks', 'works'] as const) {
    mood = next;
    await clock.advance(10_000);
  }
  expect(counts).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
  expect(events.names()).toEqual([
    'WARN source.failed',
    'WARN source.failed',
    'INFO source.incomplete',
    'INFO source.complete',
  ]);
  expect(events.text()).toContain('Cannot read it: EIO');
});

test('close() waits for the tick under way, and no other follows', async () => {
  const reads: (() => void)[] = [];
  const slow: Source = {
    name: 'slow',
    read: () => new Promise((resolve) => reads.push(() => resolve(ok({ samples: [] })))),
  };
  const { clock, sampler, ticksMs } = start(10_000, [slow]);
  await clock.advance(5_000);
  const closed = sampler.close();
  reads[0]?.();
  await closed;
  await clock.advance(60_000);
  expect(ticksMs).toEqual([15_000]);
});
