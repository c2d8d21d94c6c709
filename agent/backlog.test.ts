import { decodeBatch, encodeBatch, EVENTS_MAX, SERIES_MAX } from '@muster/proto/batch';
import { BODY_BYTES_MAX } from '@muster/proto/push';
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { BATCH_BYTES_MAX, openBacklog, type Backlog, type WaitingBatch } from './backlog.ts';
import type { Tick } from './sampler.ts';
import type { Sample } from './source.ts';

function makeTick(tsMs: number, count = 2): Tick {
  const samples = Array.from({ length: count }, (_, i): Sample => ({
    metric: 'system.cpu.utilization',
    labels: `cpu=${i}`,
    value: tsMs + i,
  }));
  return { tsMs, samples };
}

function open(bytesMax = 1_000_000): Backlog {
  return openBacklog({ epoch: 7, bytesMax });
}

/** Everything that waits, in the order of handing out. */
function drain(backlog: Backlog): WaitingBatch[] {
  const newest = backlog.takeNewest();
  const batches = newest === null ? [] : [newest];
  for (let batch = backlog.takeOldest(); batch !== null; batch = backlog.takeOldest()) batches.push(batch);
  return batches;
}

test('a batch has the shape [series, ticks] and NaN where a series had no sample', () => {
  const backlog = open();
  backlog.add({ tsMs: 1_000, samples: [{ metric: 'system.uptime', labels: '', value: 1 }] });
  backlog.add({ tsMs: 2_000, samples: [{ metric: 'system.cpu.utilization', labels: 'cpu=0', value: 0.5 }] });
  expect(backlog.takeNewest()).toEqual({
    epoch: 7,
    seq: 1,
    ticksMs: [1_000, 2_000],
    series: [
      ['system.uptime', ''],
      ['system.cpu.utilization', 'cpu=0'],
    ],
    values: new Float64Array([1, Number.NaN, Number.NaN, 0.5]),
  });
  expect(backlog.takeNewest()).toBe(null);
});

test('the newest batch comes first, then the oldest, then what was postponed', () => {
  const backlog = open();
  for (let second = 1; second <= 130; second += 1) backlog.add(makeTick(second * 1_000));
  const newest = backlog.takeNewest();
  expect(newest?.ticksMs.at(-1)).toBe(130_000);
  const oldest = backlog.takeOldest();
  expect(oldest?.ticksMs.at(0)).toBe(1_000);
  if (oldest !== null) backlog.postpone(oldest);
  expect(backlog.takeOldest()?.ticksMs.at(0)).toBe(61_000);
  expect(backlog.takeOldest()).toBe(oldest);
  expect(backlog.takeOldest()).toBe(null);
});

test('ticks rise within a batch when the clock was set back', () => {
  const backlog = open();
  for (const tsMs of [1_000, 2_000, 2_000, 1_000]) backlog.add(makeTick(tsMs));
  expect(drain(backlog).map(({ ticksMs }) => ticksMs)).toEqual([[1_000], [1_000, 2_000], [2_000]]);
});

test('over its limit the backlog gives up the oldest samples, and says exactly how many in one gap', () => {
  const backlog = open(20_000);
  const dropped: Tick[] = [];
  for (let second = 1; second <= 600; second += 1) {
    const tick = makeTick(second * 1_000, 10);
    backlog.add(tick);
    dropped.push(tick);
  }
  backlog.note({ kind: 'boot', atMs: 1 });
  const batches = drain(backlog);
  const left = batches.reduce((count, { values }) => count + values.length, 0);
  const events = batches.flatMap((batch) => batch.events ?? []);
  const firstMs = Math.min(...batches.flatMap(({ ticksMs }) => ticksMs));
  expect(left).toBeGreaterThan(0);
  expect(events).toEqual([
    { kind: 'boot', atMs: 1 },
    { kind: 'gap', fromMs: 1_000, toMs: firstMs - 1_000, dropped: 6_000 - left },
  ]);
});

test('a batch that is on its way is not given up', () => {
  const backlog = open(20_000);
  backlog.add(makeTick(1_000, 10));
  const first = backlog.takeNewest();
  for (let second = 2; second <= 600; second += 1) backlog.add(makeTick(second * 1_000, 10));
  const gap = backlog.takeNewest()?.events?.[0];
  expect(first?.ticksMs).toEqual([1_000]);
  expect(gap?.kind === 'gap' && gap.fromMs).toBe(2_000);
});

test('events and the inventory travel with the next batch, or alone, once', () => {
  const backlog = open();
  backlog.note({ kind: 'boot', atMs: 5 });
  backlog.describe({ arch: 'x64' });
  expect(backlog.takeNewest()).toMatchObject({ ticksMs: [], info: { arch: 'x64' }, events: [{ kind: 'boot' }] });
  expect(backlog.takeNewest()).toBe(null);
});

/** Hands out the newest batch, and has it refused or stored. */
function treat(backlog: Backlog, take: 'takeNewest' | 'takeOldest', how: 'discard' | 'settle'): WaitingBatch | null {
  const batch = backlog[take]();
  if (batch !== null) backlog[how](batch);
  return batch;
}

test('what refused batches leave waits until another one is stored, and then travels alone, once', () => {
  const backlog = open();
  backlog.note({ kind: 'boot', atMs: 5 });
  backlog.describe({ arch: 'x64' });
  backlog.add(makeTick(1_000));
  treat(backlog, 'takeNewest', 'discard');
  backlog.add(makeTick(2_000));
  expect(treat(backlog, 'takeNewest', 'discard')).not.toHaveProperty('events');
  expect(backlog.takeOldest()).toBe(null);
  backlog.add(makeTick(3_000));
  expect(treat(backlog, 'takeNewest', 'settle')).not.toHaveProperty('events');
  expect(treat(backlog, 'takeOldest', 'discard')).toMatchObject({
    seq: 4,
    ticksMs: [],
    info: { arch: 'x64' },
    events: [
      { kind: 'boot', atMs: 5 },
      { kind: 'gap', fromMs: 1_000, toMs: 2_000, dropped: 4 },
    ],
  });
  backlog.add(makeTick(4_000));
  expect(treat(backlog, 'takeNewest', 'settle')).not.toHaveProperty('events');
  expect(backlog.takeOldest()).toBe(null);
  expect(backlog.countWaiting()).toBe(0);
});

test('of too many events the oldest fall out, but never the gap', () => {
  const backlog = open(0);
  backlog.add(makeTick(1_000));
  backlog.takeNewest();
  backlog.add(makeTick(1_000));
  for (let atMs = 0; atMs < 200; atMs += 1) backlog.note({ kind: 'oom-kill', atMs });
  const batch = drain(backlog)[0];
  expect(batch?.events).toHaveLength(EVENTS_MAX);
  expect(batch?.events?.[0]).toEqual({ kind: 'oom-kill', atMs: 200 - EVENTS_MAX + 1 });
  expect(batch?.events?.at(-1)?.kind).toBe('gap');
});

test('over its limit the backlog gives up what was postponed before what was never tried', () => {
  const backlog = open(4_000); // two batches of 60 ticks, not three
  for (let second = 1; second <= 120; second += 1) backlog.add(makeTick(second * 1_000));
  const newest = backlog.takeNewest();
  if (newest !== null) backlog.postpone(newest);
  for (let second = 121; second <= 180; second += 1) backlog.add(makeTick(second * 1_000));
  expect(drain(backlog)[0]?.events).toEqual([{ kind: 'gap', fromMs: 61_000, toMs: 120_000, dropped: 120 }]);
});

test('what is too large for one batch is split, by time and then by series', () => {
  const backlog = open(1e9);
  for (let second = 1; second <= 3; second += 1) backlog.add(makeTick(second * 1_000, SERIES_MAX + 1));
  const batches = drain(backlog);
  const seen = batches.reduce((count, { values }) => count + values.length, 0);
  expect(seen).toBe(3 * (SERIES_MAX + 1));
  expect(Math.max(...batches.map(({ series }) => series.length))).toBeLessThanOrEqual(SERIES_MAX);
  expect(Math.max(...batches.map((batch) => encodeBatch({ ...batch, sentMs: 0 }).byteLength))).toBeLessThan(
    BODY_BYTES_MAX,
  );
});

test('every sample is handed out once or counted as dropped, in batches that decode', () => {
  const tick = fc.record({ tsMs: fc.nat(100), count: fc.nat(30) });
  fc.assert(
    fc.property(fc.array(tick, { maxLength: 300 }), fc.integer({ min: 0, max: 20_000 }), (ticks, bytesMax) => {
      const backlog = open(bytesMax);
      for (const { tsMs, count } of ticks) backlog.add(makeTick(tsMs, count));
      const batches = drain(backlog);
      const sent = batches.reduce((sum, { values }) => sum + values.filter((value) => !Number.isNaN(value)).length, 0);
      const gaps = batches.flatMap((batch) => batch.events ?? []);
      const dropped = gaps.reduce((sum, event) => sum + (event.kind === 'gap' ? event.dropped : 0), 0);
      expect(sent + dropped).toBe(ticks.reduce((sum, { count }) => sum + count, 0));
      expect(new Set(batches.map(({ seq }) => seq)).size).toBe(batches.length);
      for (const batch of batches) expect(decodeBatch(encodeBatch({ ...batch, sentMs: 0 })).ok).toBe(true);
      for (const batch of batches) backlog.settle(batch);
      expect(backlog.countWaiting()).toBe(0);
    }),
    { numRuns: 50 },
  );
});

test('a batch leaves room in the body for events and an inventory', () => {
  expect(BATCH_BYTES_MAX).toBeLessThan(BODY_BYTES_MAX);
});
