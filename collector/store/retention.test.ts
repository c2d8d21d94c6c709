import { afterEach, beforeEach, expect, test } from 'vitest';

import { KEEP_DEFAULT } from '../domain/keep.ts';
import { openTestStore, type TestStore } from '../test-store.ts';
import { applyKeep, readKeep } from './retention.ts';

const DAY_MS = 86_400_000;

let store: TestStore;

beforeEach(async () => {
  store = await openTestStore();
});

afterEach(() => store.close());

/** One sample of so many days ago. */
async function putChunk(ageDays: number): Promise<void> {
  await store.engine.insert('chunks', 1, [
    { name: 'metric', type: 'String', values: ['m'] },
    { name: 'host', type: 'String', values: ['a'] },
    { name: 'start', type: "DateTime('UTC')", values: [Math.floor((Date.now() - ageDays * DAY_MS) / 1000)] },
    { name: 'offsetsMs', type: 'Array(UInt32)', ends: Float64Array.of(1), values: Uint32Array.of(0) },
  ]);
}

test('applyKeep() sets what the store says from then on, again changes nothing', async () => {
  expect(await readKeep(store.engine)).toEqual(KEEP_DEFAULT);
  let asked = 0;
  const ensureRoom = async (): Promise<void> => void (asked += 1);
  await applyKeep(store.engine, {}, ensureRoom);
  const keep = { raw: 7, '5m': 30, '1h': 800, '1d': 3_650 };
  expect(await applyKeep(store.engine, keep, ensureRoom)).toEqual(keep);
  expect(await readKeep(store.engine)).toEqual(keep);
  expect(asked).toBe(2);
  expect(await applyKeep(store.engine, {}, ensureRoom)).toEqual(keep);
  expect(await applyKeep(store.engine, { raw: 7 }, ensureRoom)).toEqual(keep);
  expect(asked).toBe(2);
  const rows = await store.engine.query(
    `SELECT name, extract(engine_full, 'toIntervalDay\\\\((\\\\d+)') AS days, extract(engine_full, 'merge_with_ttl_timeout = (\\\\d+)') AS seconds
     FROM system.tables WHERE database = currentDatabase() AND name IN ('chunks', 'chunks_next', 'batches', 'rollup_due') ORDER BY name`,
  );
  expect(rows.map((row) => [row['name'], row['days'], row['seconds']])).toEqual([
    ['batches', '7', '900'],
    ['chunks', '7', '900'],
    ['chunks_next', '7', '900'],
    ['rollup_due', '37', '900'],
  ]);
});

test('applyKeep() refuses what makes no sense with what is kept, and a full disk, and changes nothing', async () => {
  await expect(applyKeep(store.engine, { raw: 400 })).rejects.toThrow('raw=400 would outlast 5m=90');
  const full = (): Promise<void> => Promise.reject(new Error('the disk is full'));
  await expect(applyKeep(store.engine, { raw: 20 }, full)).rejects.toThrow('the disk is full');
  expect(await readKeep(store.engine)).toEqual(KEEP_DEFAULT);
});

test('what is there already is kept for the new time: for less it goes, for more it stays', async () => {
  await applyKeep(store.engine, {});
  for (const ageDays of [5, 20]) await putChunk(ageDays);
  const readDays = async (): Promise<readonly number[]> => {
    const rows = await store.engine.query(
      `SELECT dateDiff('day', min_time, delete_ttl_info_max) AS days FROM system.parts
       WHERE database = currentDatabase() AND table = 'chunks' AND active AND rows > 0 ORDER BY min_time`,
    );
    return rows.map((row) => Number(row['days']));
  };
  const count = async (): Promise<unknown> => (await store.engine.query('SELECT count() AS n FROM chunks'))[0]?.['n'];
  await applyKeep(store.engine, { raw: 90 });
  await expect.poll(readDays).toEqual([90, 90]);
  expect(await count()).toBe(2);
  await applyKeep(store.engine, { raw: 10 });
  await expect.poll(readDays, { timeout: 20_000 }).toEqual([10]);
  expect(await count()).toBe(1);
});
