import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import type { Batch } from '@muster/proto/batch';

import { KEEP_DEFAULT } from '../domain/keep.ts';
import { WINDOW_MS } from '../domain/samples.ts';
import { makeArrivalBlock, type Arrival } from '../ingest/columns.ts';
import { DRIVER, openTestStore, type TestStore } from '../test-store.ts';
import { openArchive } from './archive.ts';
import { openCompaction, type Compaction } from './compaction.ts';
import { insertArrivals, insertEvents } from './insert.ts';
import { readNewest } from './newest.ts';
import { readSeries } from './queries.ts';
import { openVersions, rollUpDue, type Versions } from './rollup.ts';
import type { Engine } from './store.ts';

// Writing a sample twice is writing it once, for every way in which it is read, before its parts are merged and after.

let engine: Engine;
let close: TestStore['close'];

beforeAll(async () => {
  ({ engine, close } = await openTestStore());
});

afterAll(() => close());

const TABLES = ['arrivals', 'chunks', 'archive', 'rollup_5m', 'rollup_1h', 'rollup_due', 'events', 'batches'] as const;

beforeEach(async () => {
  for (const table of TABLES) {
    await engine.command(`TRUNCATE TABLE ${table}`);
    await engine.command(`SYSTEM STOP MERGES ${table}`);
  }
  return async () => {
    for (const table of TABLES) await engine.command(`SYSTEM START MERGES ${table}`);
  };
});

const START_MS = Math.floor(Date.now() / WINDOW_MS) * WINDOW_MS - 3 * 3_600_000;
const EVERY_MS = 60_000;
const SERIES = [
  ['m.gauge', 'a=1'],
  ['m.gauge', 'a=2'],
  ['system.network.io', ''],
  ['system.uptime', ''],
] as const;
/** Which ticks a batch holds, counted from the start: records of a spool, joined in some way. */
type Span = readonly [first: number, count: number];

/** The value of a series at a tick, the same whenever it is sent; whole, so that a sum does not depend on its order. */
function valueAt(row: number, tick: number): number {
  return row === 2 ? tick * 600 : Math.round(1000 * Math.sin(tick * (row + 1)));
}

function makeBatch([first, count]: Span): Batch {
  const ticks = Array.from({ length: count }, (_, i) => first + i);
  const values = Float64Array.from(SERIES.flatMap((_, row) => ticks.map((tick) => valueAt(row, tick))));
  return {
    epoch: 1,
    seq: 1,
    sentMs: 0,
    ticksMs: ticks.map((tick) => START_MS + tick * EVERY_MS),
    series: SERIES,
    values,
  };
}

function makeArrival(batch: Batch, receivedMs = START_MS): Arrival {
  return { host: 'web-1', batch, quarantined: 1, rows: [], receivedMs };
}

type Opened = { readonly compaction: Compaction; readonly versions: Versions };

async function open(): Promise<Opened> {
  const versions = await openVersions(engine, Date.now);
  return { versions, compaction: await openCompaction(engine, versions) };
}

/** Puts batches as the buffer does, each commit of one or more. */
async function put(commits: readonly (readonly Span[])[], { compaction }: Opened) {
  for (const spans of commits) {
    const block = makeArrivalBlock(spans.map((span) => makeArrival(makeBatch(span))));
    const { generation, release } = compaction.hold(1);
    await insertArrivals(engine, block, generation);
    release();
  }
}

/** Archives all there is. */
async function archive({ compaction: { between } }: Opened): Promise<void> {
  const { moveNext } = await openArchive(engine, { now: () => START_MS + 86_400_000, between });
  while (await moveNext());
  expect(await engine.query('SELECT count() AS n FROM chunks')).toEqual([{ n: 0 }]);
}

const KEPT = { keep: KEEP_DEFAULT, nowMs: Date.now() };

/** Everything that is read of samples: all tiers, gauge and counter, the rollup itself, and what a restart reads. */
async function readAll() {
  const range = { host: 'web-1', toMs: START_MS + 3 * 3_600_000 };
  const read = await Promise.all(
    [0, 7 / 24, 15].flatMap((days) => {
      const fromMs = START_MS - days * 86_400_000;
      return [
        readSeries(engine, { ...range, fromMs, metric: 'm.gauge', kind: 'gauge' }, KEPT),
        readSeries(engine, { ...range, fromMs, metric: 'system.network.io', kind: 'counter' }, KEPT),
      ];
    }),
  );
  const rollups = await Promise.all(
    ['5m', '1h'].map((tier) =>
      engine.query(`SELECT * EXCEPT version REPLACE round(stddev, 6) AS stddev FROM rollup_${tier} FINAL ORDER BY ALL`),
    ),
  );
  const samples = await engine.query('SELECT * FROM samples ORDER BY ALL');
  const byKey = (a: object, b: object): number => JSON.stringify(a).localeCompare(JSON.stringify(b));
  const newest = (await readNewest(engine, START_MS + 3 * 3_600_000)).toSorted(byKey);
  return { read, rollups, samples, newest };
}

async function truncate(): Promise<void> {
  for (const table of TABLES) await engine.command(`TRUNCATE TABLE ${table}`);
}

test('a history that comes several times, joined in any way, reads as one that came once, before merges and after', async () => {
  const span = fc.tuple(fc.nat({ max: 59 }), fc.integer({ min: 1, max: 20 }));
  const commits = fc.array(fc.array(span, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 });
  const rollUp = ({ versions }: Opened) =>
    rollUpDue(engine, { versions, now: () => START_MS + 80 * EVERY_MS + 3_600_000 });
  await fc.assert(
    fc.asyncProperty(commits, fc.nat({ max: 5 }), fc.boolean(), async (list, compactedAfter, isArchived) => {
      await truncate();
      const once = [
        ...new Set(list.flat().flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i))),
      ];
      const plain = await open();
      await put([once.map((tick) => [tick, 1] as const)], plain);
      await plain.compaction.run();
      await rollUp(plain);
      const expected = await readAll();

      await truncate();
      const opened = await open();
      await put(list.slice(0, compactedAfter), opened);
      await opened.compaction.run(); // what comes from here on is late, some of it a repetition
      await rollUp(opened);
      if (isArchived) await archive(opened);
      await put(list.slice(compactedAfter), opened);
      await put(list.toReversed(), opened);
      await opened.compaction.run();
      await rollUp(opened);
      expect(await readAll()).toEqual(expected);
      for (const table of TABLES) {
        await engine.command(`SYSTEM START MERGES ${table}`);
        await engine.command(`OPTIMIZE TABLE ${table} FINAL`);
        await engine.command(`SYSTEM STOP MERGES ${table}`);
      }
      expect(await readAll()).toEqual(expected);
      await archive(opened);
      expect(await readAll()).toEqual(expected);
    }),
    { numRuns: DRIVER === 'server' ? 3 : 12, endOnFailure: true },
  );
}, 120_000);

test('the rollup equals one that is computed from the distinct samples by hand', async () => {
  const opened = await open();
  await put(
    [
      [[0, 13]],
      [
        [5, 8],
        [2, 3],
      ],
      [[0, 13]],
    ],
    opened,
  );
  await opened.compaction.run();
  const rows = await engine.query(
    `SELECT samples, min, max, round(avg, 9) AS avg, round(median, 9) AS median, round(stddev, 9) AS stddev, last
     FROM rollup_5m FINAL WHERE metric = 'm.gauge' AND labels = 'a=2' ORDER BY ts`,
  );
  const round = (value: number): number => Math.round(value * 1e9) / 1e9;
  const expected = [
    [0, 5],
    [5, 5],
    [10, 3],
  ].map(([first = 0, count = 0]) => {
    const values = Array.from({ length: count }, (_, i) => valueAt(1, first + i));
    const sorted = values.toSorted((a, b) => a - b);
    const avg = values.reduce((sum, value) => sum + value, 0) / count;
    const variance = values.reduce((sum, value) => sum + (value - avg) ** 2, 0) / count;
    return {
      samples: count,
      min: sorted[0],
      max: sorted.at(-1),
      avg: round(avg),
      median: round(sorted[(count - 1) / 2] ?? NaN),
      stddev: round(Math.sqrt(variance)),
      last: values.at(-1),
    };
  });
  expect(rows).toEqual(expected);
});

test('events and batches that come twice are there once, before merges and after', async () => {
  const event = { host: 'web-1', tsMs: START_MS, kind: 'boot', body: '{}' };
  // Its ticks are of two windows, which makes two rows of it until it is compacted.
  const ticksMs = [START_MS - 1, START_MS];
  const batch = { ...makeBatch([0, 2]), epoch: 2 ** 52, since: 1, seq: 3, ticksMs };
  const opened = await open();
  for (const receivedMs of [START_MS, START_MS + 5000]) {
    await insertEvents(engine, [event]);
    const { generation, release } = opened.compaction.hold(1);
    await insertArrivals(engine, makeArrivalBlock([makeArrival(batch, receivedMs)]), generation);
    release();
    if (receivedMs === START_MS) await opened.compaction.run();
  }
  await opened.compaction.run();
  const count = async (): Promise<unknown> =>
    engine.query(
      `SELECT (SELECT count() FROM events FINAL) AS events, (SELECT count() FROM batches FINAL) AS batches,
         (SELECT any(epoch) FROM batches) AS epoch, (SELECT sum(length(ticks)) FROM batches FINAL) AS ticks`,
    );
  const expected = [{ events: 1, batches: 1, epoch: 2 ** 52, ticks: 2 }];
  expect(await count()).toEqual(expected);
  for (const table of ['events', 'batches']) {
    await engine.command(`SYSTEM START MERGES ${table}`);
    await engine.command(`OPTIMIZE TABLE ${table} FINAL`);
  }
  expect(await count()).toEqual(expected);
});

test('a block that was seen before is not dropped for its content', async () => {
  // Where a table remembers blocks, the engine drops one like it: also when the first is gone, as after a kill.
  await engine.command(
    `CREATE TABLE remembering AS rollup_5m ENGINE = ReplacingMergeTree ORDER BY (metric, host, labels, ts)
     SETTINGS allow_experimental_codecs = 1, non_replicated_deduplication_window = 100`,
  );
  const insert = (): Promise<void> =>
    engine.insert('remembering', 1, [
      { name: 'metric', type: 'String', values: ['m.gauge'] },
      { name: 'ts', type: "DateTime('UTC')", values: [START_MS / 1000] },
      { name: 'last', type: 'Float64', values: [1] },
    ]);
  const count = async (): Promise<unknown> => engine.query('SELECT count() AS n FROM remembering');
  await insert();
  await engine.command('ALTER TABLE remembering DELETE WHERE 1 SETTINGS mutations_sync = 1');
  expect(await count()).toEqual([{ n: 0 }]);
  await insert();
  expect(await count()).toEqual([{ n: 1 }]);

  const block = makeArrivalBlock([makeArrival(makeBatch([0, 3]))]);
  await insertArrivals(engine, block, 1);
  await engine.command('ALTER TABLE arrivals DROP PARTITION 1');
  await insertArrivals(engine, block, 1);
  expect(await engine.query('SELECT count() AS n FROM samples')).toEqual([{ n: 3 * SERIES.length }]);
});
