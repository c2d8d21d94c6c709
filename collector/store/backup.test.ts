import {
  appendFile,
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { describeError } from '@muster/proto/log';

import { makeArrivalBlock } from '../ingest/columns.ts';
import { createBackup, pruneBackups, type BackupReport } from './backup.ts';
import { findChain, listBackups, partialPath } from './backup-folder.ts';
import { openCompaction, type Compaction } from './compaction.ts';
import { openEmbedded } from './embedded.ts';
import { insertArrivals } from './insert.ts';
import { migrate } from './migrations.ts';
import { ensureRestored, restoreBackup, verifyBackup } from './restore.ts';
import { openVersions, rollUpDue } from './rollup.ts';
import type { Engine } from './store.ts';

/** Each opens several stores, one after the other, and puts backups on the disk. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let root: string;
let folder: string;
let data: string;
let nowMs = Date.UTC(2026, 10, 22, 3);
const now = (): number => (nowMs += 1_000);

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'muster-backup-'));
  folder = join(root, 'backups');
  data = join(root, 'data');
});

afterEach(() => rm(root, { recursive: true }));

type Opened = { readonly engine: Engine; readonly compaction: Compaction; readonly rollUp: () => Promise<void> };

/** The store in a directory, while `act` runs. */
async function withStore<T>(directory: string, act: (store: Opened) => Promise<T>): Promise<T> {
  await mkdir(directory, { recursive: true });
  const engine = await openEmbedded(directory, { 'backups/allowed_path': folder });
  try {
    await migrate(engine);
    const versions = await openVersions(engine, Date.now);
    const compaction = await openCompaction(engine, versions);
    return await act({ engine, compaction, rollUp: () => rollUpDue(engine, { versions, now: Date.now }) });
  } finally {
    await engine.close();
  }
}

const HOUR_MS = 3_600_000;
/** Weeks ago: all hours of what is written are over, however fast that goes. */
const START_MS = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - 20 * 24 * HOUR_MS;

/** Stores the ticks of a host as a commit does; the value of a tick is its number, every second tick told twice. */
async function put({ engine, compaction }: Opened, host: string, ticks: readonly number[]): Promise<void> {
  const series = [['m.gauge', '']] as const;
  const ticksMs = ticks.map((tick) => START_MS + tick * 10_000);
  const batch = { epoch: 1, seq: 1, sentMs: 0, ticksMs, series, values: Float64Array.from(ticks) };
  const { generation, release } = compaction.hold(ticks.length);
  try {
    await insertArrivals(engine, makeArrivalBlock([{ host, batch, quarantined: 0, receivedMs: 0 }]), generation);
  } finally {
    release();
  }
}

async function readTicks({ engine }: Opened): Promise<readonly number[]> {
  const [row] = await engine.query('SELECT arraySort(groupArray(toUInt32(value))) AS ticks FROM samples');
  return (row?.['ticks'] ?? []) as number[];
}

const create = (store: Opened, isFull = false): Promise<BackupReport> =>
  createBackup(store, { folder, isFull, version: '1.0.0', now });

const restore = (name: string, isReplacing = false): Promise<unknown> =>
  restoreBackup(data, { folder, name, isReplacing, now });

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test(
  'createBackup() while a writer, compaction and rollup go on: each restores to all that was acknowledged before, once',
  { timeout: 120_000 },
  async () => {
    const acknowledged: number[] = [];
    const made: { readonly report: BackupReport; readonly ledger: readonly number[] }[] = [];
    await withStore(join(root, 'source'), async (store) => {
      let isOver = false;
      const writing = (async () => {
        for (let tick = 0; !isOver; tick += 4) {
          await sleep(1); // what is stored at once leaves no turn to others
          await put(store, 'web-1', range(tick, tick + 4));
          acknowledged.push(...range(tick, tick + 4));
          if (tick % 8 === 0) await put(store, 'web-1', range(tick, tick + 4)); // its answer was lost
        }
      })();
      const compacting = (async () => {
        while (!isOver) {
          await store.compaction.run();
          await store.rollUp();
        }
      })();
      for (let i = 0; i < 4; i += 1) {
        const enough = acknowledged.length + 40;
        await expect.poll(() => acknowledged.length, { timeout: 60_000 }).toBeGreaterThan(enough);
        const ledger = [...acknowledged];
        made.push({ report: await create(store), ledger });
      }
      isOver = true;
      await Promise.all([writing, compacting]);
    });
    expect(made.map(({ report }) => report.parent)).toEqual([
      null,
      ...made.slice(0, -1).map(({ report }) => report.name),
    ]);
    for (const { report, ledger } of made) {
      await verifyBackup({ folder, name: report.name, now });
      await restore(report.name, true);
      await withStore(data, async (store) => {
        const ticks = await readTicks(store);
        expect(ticks.length).toBe(new Set(ticks).size);
        expect(ledger.filter((tick) => !ticks.includes(tick))).toEqual([]);
        // What is in the tables of the rollup is what its samples come to: no window is left out.
        await store.rollUp();
        expect(
          await store.engine.query('SELECT sum(samples) AS n, round(sum(avg * samples)) AS total FROM rollup_5m FINAL'),
        ).toEqual(await store.engine.query('SELECT count() AS n, round(sum(value)) AS total FROM samples'));
        expect(await store.engine.query('SELECT sum(samples) AS n FROM rollup_1h FINAL')).toEqual(
          await store.engine.query('SELECT count() AS n FROM samples'),
        );
      });
    }
    expect((await listBackups(folder)).every(({ manifest }) => manifest.verifiedMs !== null)).toBe(true);
  },
);

/** Three backups, each of more ticks than the one before. */
async function makeThree(): Promise<readonly [string, string, string]> {
  return withStore(join(root, 'source'), async (store) => {
    const names: string[] = [];
    for (const tick of [0, 1000, 2000]) {
      await put(store, 'web-1', range(tick, tick + 100));
      await store.compaction.run();
      names.push((await create(store)).name);
    }
    return names as [string, string, string];
  });
}

/** Stores ticks in a directory, and leaves them in its journal as well, as a kill does. */
async function leaveInJournal(directory: string, ticks: readonly number[]): Promise<void> {
  const incoming = join(directory, 'incoming');
  await withStore(directory, async (store) => {
    await store.engine.command('ALTER TABLE arrivals ADD CONSTRAINT nothing CHECK 0');
    await put(store, 'web-1', ticks);
    await cp(incoming, join(root, 'left'), { recursive: true });
    await store.engine.command('ALTER TABLE arrivals DROP CONSTRAINT nothing');
  });
  await cp(join(root, 'left'), incoming, { recursive: true });
}

test('a restore refuses a directory that has a store, and moves it aside when it is told to', async () => {
  const [one, , three] = await makeThree();
  await restore(one);
  await expect(restore(three)).rejects.toThrow('it has a store; say --replace');
  expect(await withStore(data, readTicks)).toEqual(range(0, 100));
  await leaveInJournal(data, [5_000]);
  await restore(three, true);
  expect(await withStore(data, readTicks)).toHaveLength(300);
  const aside = (await readdir(data)).filter((name) => name.startsWith('replaced-'));
  expect(aside).toHaveLength(1);
  expect(await withStore(join(data, aside[0] ?? ''), readTicks)).toEqual([...range(0, 100), 5_000]);
});

test('a chain whose link is missing, cut off or altered is refused, and what is there stays', async () => {
  const [one, two, three] = await makeThree();
  await restore(one);
  const damage: readonly (readonly [RegExp, (path: string) => Promise<void>])[] = [
    [/is missing/, (path) => rename(path, `${path}-gone`)],
    [/is damaged: it holds/, async (path) => rm(await findData(path))],
    [/is damaged: it holds/, async (path) => appendFile(await findData(path), 'x')],
  ];
  await cp(folder, `${folder}-whole`, { recursive: true });
  for (const [said, act] of damage) {
    await act(join(folder, two));
    await expect(restore(three, true)).rejects.toThrow(said);
    await expect(verifyBackup({ folder, name: three, now })).rejects.toThrow(said);
    await rm(folder, { recursive: true });
    await cp(`${folder}-whole`, folder, { recursive: true });
  }
  expect(await withStore(data, readTicks)).toEqual(range(0, 100));
  expect(await readdir(data)).not.toContain('restoring');
});

async function findData(path: string): Promise<string> {
  const files = await readdir(path, { recursive: true });
  return join(path, files.find((file) => file.includes('chunks') && file.endsWith('data.bin')) ?? 'none');
}

test('a file whose bytes were altered is found by the comparison, before what is there is touched', async () => {
  const [one] = await makeThree();
  const file = await findData(join(folder, one));
  const bytes = await readFile(file);
  bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 1;
  await chmod(file, 0o600);
  await writeFile(file, bytes);
  for (const attempt of [() => verifyBackup({ folder, name: one, now }), () => restore(one)]) {
    const said = await attempt().then(String, describeError);
    // The engine's own reason: the disk may be as much at fault as the backup.
    expect(said).toMatch(`Cannot restore ${one}: `);
    expect(said).not.toContain('choose another one');
  }
  expect(await readdir(data)).not.toContain('clickhouse');
  await ensureRestored(data);
});

test('a manifest that says what was not in the store is found by the comparison', async () => {
  const [one] = await makeThree();
  const file = join(folder, one, 'manifest.json');
  const text = await readFile(file, 'utf8');
  await writeFile(
    file,
    text.replace(/("hash": ")(\w)/, (_, key: string, digit: string) => `${key}${digit === '0' ? 1 : 0}`),
  );
  await expect(
    verifyBackup({ folder, name: one, now }).catch((error: unknown) => describeError(error)),
  ).resolves.toMatch(
    /^Cannot restore \w+: it does not restore to what the store held; choose another one: partition \w+ of /,
  );
});

test.for([
  ['a table', (text: string) => text.replace('"chunks":', '"chunks SETTINGS x":')],
  ['a view', (text: string) => text.replace('"samples"', '"samples AS other"')],
  ['a partition', (text: string) => text.replace(/"2\d{9}": /, `"2' OR 1": `)],
  ['a parent', (text: string) => text.replace('"parent": null', '"parent": "../../x"')],
] as const)('a manifest that names %s in another way than ours is no backup', async ([, change]) => {
  const [one] = await makeThree();
  const file = join(folder, one, 'manifest.json');
  const text = await readFile(file, 'utf8');
  expect(change(text)).not.toBe(text);
  await writeFile(file, change(text));
  expect((await listBackups(folder)).map(({ name }) => name)).not.toContain(one);
});

test('a backup of a newer schema is refused', async () => {
  const [one] = await makeThree();
  const file = join(folder, one, 'manifest.json');
  await writeFile(file, (await readFile(file, 'utf8')).replace(/"schema": \d+/, '"schema": 999'));
  await expect(restore(one)).rejects.toThrow('its schema is version 999');
});

test('what a kill has left is no backup, and is removed by the next', async () => {
  const [one, two] = await makeThree();
  await rename(join(folder, two), partialPath(folder, two));
  expect((await listBackups(folder)).map(({ name }) => name)).not.toContain(two);
  await rm(join(folder, one, 'manifest.json'));
  expect((await findChain(folder, await listBackups(folder), one)).ok).toBe(false);
  await withStore(join(root, 'source'), (store) => create(store));
  expect((await readdir(folder)).filter((name) => name.endsWith('.partial'))).toEqual([]);
});

test('a restore that was killed is begun anew by the next one', async () => {
  const [one] = await makeThree();
  await mkdir(join(data, 'restoring/clickhouse/store'), { recursive: true });
  await writeFile(join(data, 'restoring/clickhouse/store/torn'), 'x');
  await expect(ensureRestored(data)).rejects.toThrow('was not finished');
  await restore(one);
  await ensureRestored(data);
  expect(await withStore(data, readTicks)).toEqual(range(0, 100));
});

test.for([
  [
    'the store is there still',
    ['clickhouse', 'replaced-1/clickhouse'],
    (at: string) => `delete ${at}/restoring to go on`,
  ],
  [
    'it was moved aside',
    ['replaced-1/clickhouse', 'replaced-2/clickhouse', 'replaced-3'],
    (at: string) => `move what is in ${at}/replaced-2 back to ${at} and delete ${at}/restoring`,
  ],
  ['there was none', [], (at: string) => `delete ${at}/restoring to begin with an empty store`],
] as const)('after a restore that was killed people are told what helps: %s', async ([, there, said]) => {
  for (const place of ['restoring/clickhouse', ...there]) await mkdir(join(data, place), { recursive: true });
  await expect(ensureRestored(data)).rejects.toThrow(`restore again, or ${said(data)}`);
});

test('a folder of backups that has moved restores as before', async () => {
  const [, , three] = await makeThree();
  const moved = join(root, 'moved');
  await rename(folder, moved);
  await restoreBackup(data, { folder: moved, name: three, isReplacing: false, now });
  expect(await withStore(data, readTicks)).toHaveLength(300);
});

test('after six incremental backups comes a full one; pruning keeps what the kept ones stand on', async () => {
  await withStore(join(root, 'source'), async (store) => {
    for (let i = 0; i < 9; i += 1) {
      await put(store, 'web-1', [i]);
      await create(store);
    }
    expect((await create(store, true)).parent).toBeNull();
  });
  const all = await listBackups(folder);
  expect(all.map(({ manifest }) => manifest.parent === null)).toEqual(
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => [0, 7, 9].includes(i)),
  );
  const names = all.map(({ name }) => name);
  expect(await pruneBackups(folder, 4)).toEqual([]); // the sixth stands on all before it
  expect(await pruneBackups(folder, 2)).toEqual(names.slice(0, 7));
  expect((await listBackups(folder)).map(({ name }) => name)).toEqual(names.slice(7));
  await verifyBackup({ folder, name: names[8] ?? '', now });
});

test('a backup that is given up leaves nothing', async () => {
  await withStore(join(root, 'source'), async (store) => {
    await put(store, 'web-1', range(0, 10));
    const giving = new AbortController();
    const options = { folder, isFull: false, version: '1.0.0', now, signal: giving.signal };
    await expect(
      createBackup(store, { ...options, onProgress: ({ step }) => void (step === 'writing' && giving.abort()) }),
    ).rejects.toThrow('abort');
    expect(await readdir(folder)).toEqual([]);
    expect(await store.engine.query("SELECT name FROM system.databases WHERE name = 'muster_backup'")).toEqual([]);
    await create(store);
  });
  expect((await stat(folder)).mode & 0o077).toBe(0);
});
