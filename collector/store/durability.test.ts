import { afterAll, beforeAll, expect, test } from 'vitest';

import { openTestStore, type TestStore } from '../test-store.ts';
import { applyDurability, readDurability } from './durability.ts';
import type { Engine } from './store.ts';

let engine: Engine;
let close: TestStore['close'];

beforeAll(async () => {
  ({ engine, close } = await openTestStore());
});

afterAll(() => close());

const room = (): Promise<void> => Promise.resolve();

async function listDescriptions(): Promise<readonly string[]> {
  const rows = await engine.query(
    "SELECT engine_full FROM system.tables WHERE database = 'muster' AND engine LIKE '%MergeTree'",
  );
  return rows.map((row) => String(row['engine_full']));
}

test('applyDurability() sets every table, takes it back, and changes nothing the second time', async () => {
  expect(await readDurability(engine)).toBe('process');
  expect(await applyDurability(engine, 'process', room)).toBe(true);
  const before = await listDescriptions();
  expect(before.every((text) => text.includes('old_parts_lifetime = 20'))).toBe(true);
  expect(await applyDurability(engine, 'power-loss', room)).toBe(true);
  expect(await readDurability(engine)).toBe('power-loss');
  const synced = await listDescriptions();
  for (const setting of ['fsync_after_insert = 1', 'fsync_part_directory = 1', 'old_parts_lifetime = 480'])
    expect(synced.filter((text) => !text.includes(setting))).toEqual([]);
  expect(await applyDurability(engine, 'power-loss', () => Promise.reject(new Error('asked for room')))).toBe(false);
  expect(await applyDurability(engine, 'process', room)).toBe(true);
  expect(await readDurability(engine)).toBe('process');
  expect(await listDescriptions()).toEqual(before);
});

test('applyDurability() covers a table that was added, and asks for room before it changes any', async () => {
  await engine.command('CREATE TABLE added (a UInt32) ENGINE = MergeTree ORDER BY a');
  await expect(applyDurability(engine, 'process', () => Promise.reject(new Error('asked for room')))).rejects.toThrow(
    'asked for room',
  );
  expect(await applyDurability(engine, 'process', room)).toBe(true);
  expect((await listDescriptions()).every((text) => text.includes('old_parts_lifetime = 20'))).toBe(true);
});
