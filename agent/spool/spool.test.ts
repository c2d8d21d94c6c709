import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { encodeBatch, SERIES_MAX } from '@muster/proto/batch';
import { EVENTS_MAX, readEvents } from '@muster/proto/event';
import { BODY_BYTES_MAX } from '@muster/proto/push';
import { expect, test } from 'vitest';

import { countSent, drain, fill, gapsOf, makeDirectory, makeTick, openTestSpool as open } from '../testing/spool.ts';
import { HEADER_BYTES } from './record.ts';
import type { Parcel } from './spool.ts';

function secondsOf(parcels: readonly (Parcel | null)[]): number[][] {
  return parcels.map((parcel) => (parcel?.batch.ticksMs ?? []).map((tsMs) => tsMs / 1_000));
}

test('a batch has the shape [series, ticks] and NaN where a series had no sample', () => {
  const spool = open();
  spool.add({ tsMs: 1_000, everyMs: 1_000, samples: [{ metric: 'system.uptime', labels: '', value: 1 }] });
  spool.add({
    tsMs: 2_000,
    everyMs: 1_000,
    samples: [{ metric: 'system.cpu.utilization', labels: 'cpu=0', value: 0.5 }],
  });
  expect(spool.takeNewest()?.batch).toEqual({
    epoch: 7,
    seq: 1,
    everyMs: 1_000,
    ticksMs: [1_000, 2_000],
    series: [
      ['system.uptime', ''],
      ['system.cpu.utilization', 'cpu=0'],
    ],
    values: new Float64Array([1, Number.NaN, Number.NaN, 0.5]),
  });
  expect(spool.takeNewest()).toBe(null);
});

test('the newest record comes first, then the oldest, then what was postponed', () => {
  const spool = open();
  fill(spool, [[makeTick(1_000)], [makeTick(2_000)], [makeTick(3_000)], [makeTick(4_000)]]);
  const first = spool.takeOldest(1);
  if (first !== null) spool.postpone(first);
  expect(secondsOf(drain(spool))).toEqual([[4], [2], [3], [1]]);
});

test('what was released is the newest again', () => {
  const spool = open();
  fill(spool, [[makeTick(1_000)], [makeTick(2_000)]]);
  const newest = spool.takeNewest();
  if (newest !== null) spool.release(newest);
  fill(spool, [[makeTick(3_000)]]);
  expect(secondsOf([spool.takeNewest(), spool.takeNewest(), spool.takeNewest()])).toEqual([[3], [2], [1]]);
});

test('ticks rise within a record, and are equally far apart', () => {
  const spool = open();
  const ticks = [makeTick(1_000), makeTick(2_000), makeTick(2_000), makeTick(1_000), makeTick(6_000, 2, 5_000)];
  for (const tick of ticks) spool.add(tick);
  spool.flush();
  expect(secondsOf(drain(spool))).toEqual([[6], [1, 2], [2], [1]]);
});

test('a spool that is opened again goes on with its epoch and its numbers, and hands out what waits', () => {
  const directory = makeDirectory();
  const first = open({ directory });
  fill(first, [[makeTick(1_000)], [makeTick(2_000)], [makeTick(3_000)]]);
  const [newest] = drain(first);
  if (newest !== undefined) first.settle(newest);
  first.note({ kind: 'shutdown', atMs: 3_500 });
  expect(first.close()).toBe(true);
  const second = open({ directory, epoch: 8, now: () => 60_000 });
  fill(second, [[makeTick(61_000)]]);
  const parcels = drain(second);
  expect(parcels.map(({ batch: { epoch, seq } }) => [epoch, seq])).toEqual([
    [7, 5],
    [7, 1],
    [7, 2],
    [7, 4],
  ]);
  expect(parcels[3]?.batch.events).toEqual([{ kind: 'shutdown', atMs: 3_500 }]);
  expect(gapsOf(parcels)).toEqual([]);
});

test('after a kill nothing that was flushed is lost, what was not is a gap, and that is told once', () => {
  const directory = makeDirectory();
  const killed = open({ directory });
  fill(killed, [[makeTick(1_000)], [makeTick(2_000)]]);
  killed.add(makeTick(3_000)); // never written
  const gap = { kind: 'gap', fromMs: 3_000, toMs: 9_000, dropped: 0, reason: 'killed' };
  const second = open({ directory, now: () => 9_500 });
  second.add(makeTick(10_000));
  const parcels = drain(second);
  expect(secondsOf(parcels)).toEqual([[10], [1], [2], []]);
  expect(gapsOf(parcels)).toEqual([gap]);
  for (const parcel of parcels) second.settle(parcel);
  second.close();
  expect(drain(open({ directory, now: () => 99_000 }))).toEqual([]);
});

test('a kill between two ticks is no gap', () => {
  const directory = makeDirectory();
  fill(open({ directory }), [[makeTick(1_000)]]);
  expect(gapsOf(drain(open({ directory, now: () => 1_999 })))).toEqual([]);
});

test.for(['new', 'closed', 'killed'] as const)(
  'a spool that was %s, and killed before its first write, counts from its start',
  (was) => {
    const directory = makeDirectory();
    if (was !== 'new') {
      const first = open({ directory });
      fill(first, [[makeTick(49_600)]]);
      if (was === 'closed') first.close();
    }
    // Killed at once: the first tick comes between two of the interval.
    open({ directory, now: () => 50_000 }).add(makeTick(50_300));
    expect(gapsOf(drain(open({ directory, now: () => 60_500 })))).toEqual([
      { kind: 'gap', fromMs: 50_001, toMs: 60_500, dropped: 0, reason: 'killed' },
    ]);
  },
);

test('what was settled out of turn does not wait after a kill', () => {
  const directory = makeDirectory();
  const first = open({ directory });
  fill(first, [[makeTick(1_000)], [makeTick(2_000)]]);
  const newest = first.takeNewest();
  if (newest !== null) first.settle(newest);
  fill(first, [[makeTick(3_000)]]);
  expect(secondsOf(drain(open({ directory, now: () => 3_000 })))).toEqual([[3], [1]]);
});

test('files whose records are all settled are removed', () => {
  const directory = makeDirectory();
  const spool = open({ directory });
  for (let second = 1; second <= 40; second += 1) {
    fill(spool, [[makeTick(second * 1_000, 10_000)]]);
    const parcel = spool.takeNewest();
    if (parcel !== null) spool.settle(parcel);
  }
  spool.close();
  expect(readdirSync(directory).filter((name) => name.endsWith('.records')).length).toBeLessThanOrEqual(2);
});

test('over its limit of bytes it gives up the oldest samples, and says exactly how many', () => {
  const directory = makeDirectory();
  const bytesMax = 8 * 1024 * 1024;
  const spool = open({ directory, bytesMax });
  spool.note({ kind: 'boot', atMs: 1 });
  for (let record = 0; record < 150; record += 1) {
    fill(spool, [Array.from({ length: 20 }, (_, i) => makeTick((20 * record + i + 1) * 1_000, 500))]);
  }
  const files = readdirSync(directory).map((name) => statSync(join(directory, name)).size);
  const parcels = drain(spool);
  const gaps = gapsOf(parcels);
  expect(files.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(bytesMax);
  expect(countSent(parcels) + gaps.reduce((sum, { dropped }) => sum + dropped, 0)).toBe(1_500_000);
  expect(gaps.map(({ fromMs, reason }) => [fromMs, reason])).toContainEqual([1_000, 'full']);
  expect(parcels.flatMap(({ batch }) => batch.events ?? []).filter(({ kind }) => kind === 'boot')).toHaveLength(1);
  expect(new Set(spool.logged())).toEqual(new Set(['ERROR spool.gap']));
});

test('while the disk takes nothing, samples wait in memory; they are written when it does again', () => {
  const directory = makeDirectory();
  writeFileSync(directory, 'a file in the place of the directory');
  const spool = open({ directory });
  spool.add(makeTick(1_000));
  expect(spool.flush()).toBe(false);
  expect(spool.flush()).toBe(false);
  rmSync(directory);
  spool.add(makeTick(2_000));
  expect(spool.flush()).toBe(true);
  expect(spool.logged()).toEqual(['ERROR spool.unwritable', 'INFO spool.recovered']);
  expect(secondsOf(drain(open({ directory, now: () => 2_000 })))).toEqual([[2], [1]]);
});

test('over its limit of memory it gives up the oldest samples that are not on the disk, and only those', () => {
  const directory = makeDirectory();
  const spool = open({ directory, memoryBytesMax: 500_000 });
  fill(spool, [[makeTick(1_000, 10_000)]]);
  rmSync(directory, { recursive: true });
  writeFileSync(directory, '');
  for (let second = 2; second <= 20; second += 1) fill(spool, [[makeTick(second * 1_000, 10_000)]]);
  rmSync(directory);
  const first = spool.takeOldest(1); // it was removed with the directory
  const parcels = [...(first === null ? [] : [first]), ...drain(spool)];
  const gaps = gapsOf(parcels);
  expect(countSent(parcels) + gaps.reduce((sum, { dropped }) => sum + dropped, 0)).toBe(200_000);
  expect(new Set(gaps.map(({ reason }) => reason))).toEqual(new Set(['full', 'damaged']));
  for (const parcel of parcels) spool.settle(parcel);
  spool.close();
  expect(drain(open({ directory }))).toEqual([]);
});

test('events and the inventory travel with the next record, or alone, once', () => {
  const spool = open();
  spool.note({ kind: 'boot', atMs: 5 });
  spool.describe({ arch: 'x64' });
  expect(spool.takeNewest()?.batch).toMatchObject({ ticksMs: [], info: { arch: 'x64' }, events: [{ kind: 'boot' }] });
  expect(spool.takeNewest()).toBe(null);
});

test('of too many events the oldest fall out, but never a gap', () => {
  const directory = makeDirectory();
  fill(open({ directory }), [[makeTick(1_000)]]);
  const spool = open({ directory, now: () => 5_000 });
  for (let atMs = 0; atMs < 200; atMs += 1) spool.note({ kind: 'oom-kill', atMs });
  const events = drain(spool).flatMap(({ batch }) => batch.events ?? []);
  expect(events.filter(({ kind }) => kind === 'oom-kill')).toHaveLength(EVENTS_MAX);
  expect(events.filter(({ kind }) => kind === 'gap')).toHaveLength(1);
});

test('records that follow one another are joined to one batch, up to the ticks that are asked for', () => {
  const spool = open();
  fill(
    spool,
    [1, 2, 3, 4, 5].map((second) => [makeTick(second * 1_000, second)]),
  );
  const parcel = spool.takeOldest(4);
  expect(parcel?.batch).toMatchObject({ since: 1, seq: 4, ticksMs: [1_000, 2_000, 3_000, 4_000] });
  expect(parcel?.batch.values.slice(12, 16)).toEqual(Float64Array.of(NaN, NaN, NaN, Math.sin(4_000 * 4)));
  if (parcel !== null) spool.settle(parcel);
  expect(secondsOf(drain(spool))).toEqual([[5]]);
});

/** The samples of the first tick. */
const GAP = { kind: 'gap', fromMs: 1_000, toMs: 1_000, dropped: 2, seq: 1 } as const;

test('what is refused together is tried again one by one, and only the culprit is lost', () => {
  const spool = open();
  fill(
    spool,
    [1, 2, 3].map((second) => [makeTick(second * 1_000)]),
  );
  const all = spool.takeOldest(99);
  expect(all !== null && spool.refuse(all)).toBe(true);
  const [third, first, second] = drain(spool, 99);
  expect(first === undefined || spool.refuse(first)).toBe(false);
  for (const parcel of [second, third]) if (parcel !== undefined) spool.settle(parcel);
  const [told] = drain(spool);
  expect(told?.batch).toMatchObject({
    ticksMs: [],
    events: [{ ...GAP, reason: 'refused' }],
  });
});

test('the records of one tick that are all refused leave gaps that are told apart', () => {
  const spool = open();
  fill(spool, [[makeTick(1_000, SERIES_MAX + 2)], [makeTick(2_000)]]);
  const [last, ...parcels] = drain(spool);
  for (const parcel of parcels) spool.refuse(parcel);
  if (last !== undefined) spool.settle(last);
  const gaps = gapsOf(drain(spool));
  expect(gaps.length).toBeGreaterThan(1);
  expect(new Set(gaps.map(({ seq }) => seq)).size).toBe(gaps.length);
  expect(gaps.reduce((sum, { dropped }) => sum + dropped, 0)).toBe(SERIES_MAX + 2);
});

test('what refused batches leave waits until another one is stored, then travels alone, once, and over a kill', () => {
  const directory = makeDirectory();
  const spool = open({ directory });
  spool.note({ kind: 'boot', atMs: 5 });
  fill(spool, [[makeTick(1_000)], [makeTick(2_000)]]);
  const [second, first] = drain(spool);
  if (first !== undefined) spool.refuse(first);
  expect(drain(spool)).toEqual([]);
  if (second !== undefined) spool.settle(second);
  const again = open({ directory, now: () => 2_000 });
  const told = drain(again);
  expect(told.map(({ batch }) => batch.events)).toEqual([
    [
      { kind: 'boot', atMs: 5 },
      { ...GAP, reason: 'refused' },
    ],
  ]);
  for (const parcel of told) again.refuse(parcel); // the event may be the reason: the gap goes alone
  fill(again, [[makeTick(3_000)]]);
  for (const parcel of drain(again)) again.settle(parcel);
  const alone = drain(again);
  expect(alone.map(({ batch }) => batch.events)).toEqual([[{ ...GAP, reason: 'refused' }]]);
  for (const parcel of alone) again.refuse(parcel); // it is the reason: dropped
  expect([...drain(again), again.countWaiting()]).toEqual([0]);
});

test('a kill right after a damaged record was given up leaves it counted', () => {
  const directory = makeDirectory();
  const first = open({ directory });
  fill(first, [[makeTick(1_000)], [makeTick(2_000)], [makeTick(3_000)]]);
  const newest = first.takeNewest();
  if (newest !== null) first.refuse(newest);
  const path = join(directory, '00000001.records');
  const bytes = readFileSync(path);
  bytes[bytes.indexOf('MSR1') + HEADER_BYTES] = 0; // of the payload of the first
  writeFileSync(path, bytes);
  const second = first.takeOldest(1);
  expect(secondsOf([second])).toEqual([[2]]);
  if (second !== null) first.settle(second); // writes what the refused one has left
  const gaps = gapsOf(drain(open({ directory, now: () => 3_000 })));
  expect(gaps.map(({ dropped, reason }) => `${dropped} ${reason}`).toSorted()).toEqual(['2 damaged', '2 refused']);
});

test('what is too large for one batch is split, by time and then by series', () => {
  const spool = open();
  for (let second = 1; second <= 3; second += 1) spool.add(makeTick(second * 1_000, SERIES_MAX + 1));
  const parcels = drain(spool);
  expect(countSent(parcels)).toBe(3 * (SERIES_MAX + 1));
  const bytes = parcels.map(({ batch }) => encodeBatch({ ...batch, run: 1, sentMs: 0 }).byteLength);
  expect(Math.max(...bytes)).toBeLessThan(BODY_BYTES_MAX);
});

test.for([
  ['a file that is none of ours', (directory: string) => writeFileSync(join(directory, 'notes.txt'), 'hello')],
  ['a head of nothing', (directory: string) => writeFileSync(join(directory, 'head'), '')],
  ['a head that is a directory', (directory: string) => makeDirectoryOf(join(directory, 'head'))],
  ['records that are a directory', (directory: string) => mkdirSync(join(directory, '00000009.records'))],
  [
    'garbage behind the records',
    (directory: string) => appendFileSync(join(directory, '00000001.records'), 'MSR1MSR1'),
  ],
  ['a head that is a pipe', (directory: string) => makePipe(join(directory, 'head'))],
  ['records that are a pipe', (directory: string) => makePipe(join(directory, '00000009.records'))],
  ['a link to nowhere', (directory: string) => symlinkSync('nowhere', join(directory, '00000000.records'))],
  ['the highest number of eight digits', (directory: string) => writeFileSync(join(directory, '99999999.records'), '')],
  ['an empty file', (directory: string) => writeFileSync(join(directory, '00000002.records'), '')],
] as const)('a spool starts with %s, and hands out what is intact', ([, change]) => {
  const directory = makeDirectory();
  const first = open({ directory });
  fill(first, [[makeTick(1_000)], [makeTick(2_000)]]);
  first.close();
  change(directory);
  fill(open({ directory, epoch: 8, now: () => 2_000 }), [[makeTick(3_000)]]);
  const parcels = drain(open({ directory, now: () => 3_000 }));
  expect(secondsOf(parcels).filter((seconds) => seconds.length > 0)).toEqual([[3], [1], [2]]);
});

function makePipe(path: string): void {
  rmSync(path, { force: true });
  execFileSync('mkfifo', [path]);
}

function makeDirectoryOf(path: string): void {
  rmSync(path);
  mkdirSync(path);
}

test('a record that cannot be read now comes last, and is not lost', () => {
  const directory = makeDirectory();
  const first = open({ directory });
  fill(first, [[makeTick(1_000)], [makeTick(2_000)]]);
  first.close();
  const spool = open({ directory, now: () => 2_000 });
  const path = join(directory, '00000001.records');
  renameSync(path, `${path}.away`);
  mkdirSync(path); // cannot be read as a file
  expect(spool.takeOldest(1)).toBe(null);
  rmdirSync(path);
  renameSync(`${path}.away`, path);
  expect(secondsOf(drain(spool))).toEqual([[2], [1]]);
  expect(gapsOf(drain(spool))).toEqual([]);
});

test.for([
  [
    { atMs: 1, subject: 'x'.repeat(1_000) },
    { atMs: 1, subject: 'x'.repeat(256) },
  ],
  [
    { atMs: 1, subject: `${'x'.repeat(255)}😀` },
    { atMs: 1, subject: `${'x'.repeat(255)}\ufffd` },
  ],
  [
    { atMs: 2 ** 60 * 1000, subject: 'x' },
    { atMs: 7_000, subject: 'x' },
  ],
  [{ atMs: -1 }, { atMs: 7_000 }],
  [{ atMs: Number.NaN }, { atMs: 7_000 }],
] as const)(
  'an event that no batch may hold is made one that it may, so that none is refused: %o',
  ([said, expected]) => {
    const spool = open({ now: () => 7_000 });
    spool.note({ kind: 'container-died', ...said });
    const events = spool.takeNewest()?.batch.events ?? [];
    expect(events).toEqual([{ kind: 'container-died', ...expected }]);
    expect(readEvents(events)).toEqual({ ok: true, value: events });
  },
);
