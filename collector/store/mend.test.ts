import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { makeLog } from '@muster/proto/log';

import { applyDurability } from './durability.ts';
import { openEmbedded } from './embedded.ts';
import { insertEvents } from './insert.ts';
import { makeMender, withMender } from './mend.ts';
import { migrate } from './migrations.ts';
import type { Engine } from './store.ts';

let directory: string;
let engine: Engine;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-mend-'));
  engine = await openEmbedded(directory);
  await migrate(engine);
  await applyDurability(engine, 'process', room);
});

afterAll(async () => {
  await engine.close();
  await rm(directory, { recursive: true });
});

const COUNT = 'SELECT count() AS n, max(body) AS newest FROM muster.events';

const room = (): Promise<void> => Promise.resolve();

function make() {
  const lines: string[] = [];
  const log = makeLog((line) => void lines.push(line), Date.now);
  return { mender: makeMender({ engine, oldPartsMs: () => 20_000, log, now: Date.now }), lines };
}

/** Puts ten events in as many parts and merges them into one. Gives its directory. */
async function putMerged(): Promise<string> {
  for (let i = 0; i < 10; i += 1)
    await insertEvents(engine, [{ host: 'web-1', tsMs: Date.now(), kind: 'boot', body: `{"i":${i}}` }]);
  await engine.command('OPTIMIZE TABLE muster.events FINAL');
  const parts = await engine.query("SELECT path FROM system.parts WHERE table = 'events' AND active AND rows > 1");
  expect(parts).toHaveLength(1);
  return String(parts[0]?.['path']);
}

test('a merged part that a full disk has cut off is left aside for what it was merged from', async () => {
  const { mender } = make();
  const path = await putMerged();
  expect(await mender.mend()).toBe(false);
  const { mender: fresh, lines } = make();
  for (const file of await readdir(path)) await truncate(join(path, file)); // as the engine leaves it
  await engine.command('SYSTEM DROP MARK CACHE');
  await expect(engine.query(COUNT)).rejects.toThrow('marks');
  const expected = [{ n: 10, newest: '{"i":9}' }];
  expect(await withMender(engine, fresh).query(COUNT)).toEqual(expected);
  expect(await engine.query(COUNT)).toEqual(expected);
  expect(lines.join('')).toContain('"event":"store.mending","table":"events"');
  expect(await fresh.mend()).toBe(false);
});

test('what was dropped is dropped again when its table had to be attached anew, until that is done', async () => {
  const { mender } = make();
  const path = await putMerged();
  const calls: string[] = [];
  await mender.drop('events', async () => {
    calls.push('drop');
    // What a full disk has cut off may also be what says that the others are dropped; and there may be no room yet.
    if (calls.length === 2) throw new Error('full');
  });
  for (const file of await readdir(path)) await truncate(join(path, file));
  await expect(mender.mend()).rejects.toThrow('full');
  expect(await mender.mend()).toBe(false);
  expect(await mender.mend()).toBe(false);
  expect(calls).toEqual(['drop', 'drop', 'drop']);
  expect(await engine.query('SELECT count() >= 10 AS isThere FROM muster.events')).toEqual([{ isThere: 1 }]);
});

test('a read that failed is tried again also when the mender could not finish', async () => {
  let reads = 0;
  const flaky: Engine = {
    ...engine,
    query: async () => {
      reads += 1;
      if (reads === 1) throw new Error('the table is detached');
      return [{ n: 1 }];
    },
  };
  const { mender } = make();
  const unfinished = { ...mender, mend: () => Promise.reject(new Error('full')) };
  expect(await withMender(flaky, unfinished).query('SELECT 1 AS n')).toEqual([{ n: 1 }]);
});

test('a query that is wrong in itself stays wrong', async () => {
  const { mender } = make();
  await expect(withMender(engine, mender).query('SELECT nothing')).rejects.toThrow('nothing');
});
