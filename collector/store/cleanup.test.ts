import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { makeLog } from '@muster/proto/log';

import { KEEP_DEFAULT } from '../domain/keep.ts';
import { openTestStore, type TestStore } from '../test-store.ts';
import { makeBallast } from './ballast.ts';
import { cleanUp, type CleanupOptions } from './cleanup.ts';
import { makeMender } from './mend.ts';
import type { Engine } from './store.ts';

const DAY_MS = 86_400_000;
/** Noon, so that days ago are days. */
const NOW_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS + DAY_MS / 2;

let store: TestStore;
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-cleanup-'));
  store = await openTestStore();
  // What is past its time would go before it is looked at.
  for (const table of ['chunks', 'rollup_5m', 'rollup_1h', 'rollup_1d', 'batches']) {
    await store.engine.command(`SYSTEM STOP TTL MERGES ${table}`);
    await store.engine.command(`SYSTEM STOP MERGES ${table}`);
  }
});

afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

/** Five minutes of one series, of so many days ago, with so many samples. */
async function putChunk(ageDays: number, samples: number): Promise<void> {
  await store.engine.insert('chunks', 1, [
    { name: 'metric', type: 'String', values: ['m'] },
    { name: 'host', type: 'String', values: ['a'] },
    { name: 'start', type: "DateTime('UTC')", values: [(NOW_MS - ageDays * DAY_MS) / 1000] },
    {
      name: 'offsetsMs',
      type: 'Array(UInt32)',
      ends: Float64Array.of(samples),
      values: Uint32Array.from({ length: samples }, (_, i) => i * 1000),
    },
  ]);
}

async function putRow(table: string, column: string, ageDays: number): Promise<void> {
  const type = table === 'batches' ? "DateTime64(3, 'UTC')" : "DateTime('UTC')";
  const at = (NOW_MS - ageDays * DAY_MS) / (table === 'batches' ? 1 : 1000);
  await store.engine.insert(table, 1, [
    { name: 'host', type: 'String', values: ['a'] },
    { name: column, type, values: [at] },
  ]);
}

function run(options: Partial<CleanupOptions>, signal = new AbortController().signal, engine = store.engine) {
  const log = makeLog(() => undefined, Date.now);
  const mender = makeMender({ engine, oldPartsMs: () => 20_000, log, now: Date.now });
  const whole = { engine, mender, ballast: makeBallast(directory), keep: KEEP_DEFAULT };
  return cleanUp(
    whole,
    { apply: false, optimize: false, now: () => NOW_MS, ...options },
    { onProgress: () => undefined, signal },
  );
}

async function countRows(): Promise<Readonly<Record<string, number>>> {
  const rows = await store.engine.query(
    `SELECT table, sum(rows) AS n FROM system.parts WHERE database = currentDatabase() AND active AND rows > 0
     AND table != 'migrations' GROUP BY table`,
  );
  return Object.fromEntries(rows.map((row) => [String(row['table']), Number(row['n'])]));
}

test('cleanUp() says what is past its time; only with apply it goes, whole partitions', async () => {
  for (const [ageDays, samples] of [
    [32, 3],
    [31, 5],
    [31, 2],
    [29, 7],
    [0, 1],
  ] as const)
    await putChunk(ageDays, samples);
  for (const ageDays of [40, 20]) await putRow('batches', 'at', ageDays);
  for (const ageDays of [200, 89]) await putRow('rollup_5m', 'ts', ageDays);
  for (const ageDays of [500, 300]) await putRow('rollup_1h', 'ts', ageDays);
  const before = await countRows();
  const dry = await run({});
  expect(
    dry.tables.map(({ kept, keepDays, rows, going }) => [
      kept,
      keepDays,
      rows,
      going.partitions.length,
      going.rows,
      going.samples,
    ]),
  ).toEqual([
    ['raw', 30, 5, 2, 3, 10],
    ['5m', 90, 2, 1, 1, 0],
    ['1h', 365, 2, 1, 1, 0],
    ['1d', 365, 0, 0, 0, 0],
    ['batches', 30, 2, 1, 1, 0],
  ]);
  expect(dry.tables.every(({ bytes, going }) => going.bytes <= bytes)).toBe(true);
  expect([dry.applied, dry.optimized, await countRows()]).toEqual([false, null, before]);

  const applied = await run({ apply: true });
  expect(applied.tables).toEqual(dry.tables);
  expect(await countRows()).toEqual({ chunks: 2, batches: 1, rollup_5m: 1, rollup_1h: 1 });
  const again = await run({ apply: true });
  expect(again.tables.flatMap(({ going }) => going.partitions)).toEqual([]);
});

test('cleanUp() projects from the last full days, and says nothing where there is none', async () => {
  for (let i = 0; i < 4; i += 1) await putChunk(0, 300);
  expect((await run({})).tables[0]).toMatchObject({ projectedBytes: null });
  await putChunk(3, 300); // the day it began: not a full one
  for (const ageDays of [2, 2, 2, 2, 1, 1]) await putChunk(ageDays, 300);
  const { tables, fullDays } = await run({});
  const [raw] = tables;
  expect(fullDays).toBe(2);
  // Three rows a day, for 30 days and one more, since partitions go whole.
  expect(raw?.projectedBytes).toBe(Math.round(((raw?.bytes ?? NaN) / 11) * 3 * 31));
});

test('cleanUp() with optimize merges what no longer grows, and nothing else', async () => {
  for (const ageDays of [5, 5, 5, 1, 1, 0, 0]) await putChunk(ageDays, 2);
  await store.engine.command('SYSTEM START MERGES chunks');
  const query: Engine['query'] = async (sql, ...bound) =>
    sql.includes('system.disks') ? [{ freeBytes: 1 }] : store.engine.query(sql, ...bound);
  const full = await run({ apply: true, optimize: true }, undefined, { ...store.engine, query });
  expect(full).toMatchObject({
    freeBytes: 1,
    optimized: { partitions: 0, skipped: [expect.stringContaining(' of chunks')] },
  });
  const { optimized, freeBytes } = await run({ apply: true, optimize: true });
  expect(freeBytes).toBeGreaterThan(1);
  expect(optimized).toEqual({ partitions: 1, skipped: [] });
  const parts = await store.engine.query(
    `SELECT count() AS n FROM system.parts WHERE database = currentDatabase() AND table = 'chunks' AND active
     AND max_time < toDateTime({untilS:Int64})`,
    { untilS: NOW_MS / 1000 - 3 * 86_400 },
  );
  expect(parts).toEqual([{ n: 1 }]);
});

test('cleanUp() that is cancelled drops nothing more', async () => {
  await putChunk(40, 1);
  await expect(run({ apply: true }, AbortSignal.abort())).rejects.toThrow('abort');
  expect(await countRows()).toEqual({ chunks: 1 });
});
