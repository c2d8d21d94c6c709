import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { makeLog } from '@muster/proto/log';

import { makeArrivalBlock } from '../ingest/columns.ts';
import { openCompaction } from './compaction.ts';
import { explainDataFault } from './data-fault.ts';
import { openEmbedded, type EmbeddedEngine } from './embedded.ts';
import { encodeFramed, findFrames } from './frame.ts';
import { insertArrivals } from './insert.ts';
import { openJournal, type Journal } from './journal.ts';
import { migrate } from './migrations.ts';
import { openVersions } from './rollup.ts';

let data: string;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'muster-journal-'));
});

afterEach(() => rm(data, { recursive: true }));

const START_MS = Math.floor(Date.now() / 300_000) * 300_000 - 3_600_000;
const SECRET = 'frame\u0006UInt64'; // what stands at the start of a block may stand in its texts

function makeBlock(tick: number, host = `${SECRET}-1`) {
  const series = [
    ['m.gauge', SECRET],
    ['m.gauge', 'a=1'],
  ] as const;
  const batch = {
    epoch: 1,
    seq: tick,
    sentMs: 0,
    ticksMs: [START_MS + tick * 1_000],
    series,
    values: Float64Array.of(tick, -tick),
  };
  return makeArrivalBlock([{ host, batch, quarantined: 0, receivedMs: 0 }], () => true);
}

async function withEngine<T>(act: (engine: EmbeddedEngine) => Promise<T>): Promise<T> {
  const engine = await openEmbedded(data);
  try {
    await migrate(engine);
    return await act(engine);
  } finally {
    await engine.close();
  }
}

const TICKS = 'SELECT toUInt32(value) AS tick FROM samples WHERE value > 0 ORDER BY tick';

async function readTicks(engine: EmbeddedEngine): Promise<readonly number[]> {
  const rows = await engine.query(TICKS);
  return rows.map(({ tick }) => Number(tick));
}

function flip(bytes: Buffer, at: number, bit: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
  return flipped;
}

const DAMAGES = ['cut', 'flip', 'insert'] as const;

test('of framed blocks that are cut off, altered, or have something between them, those that are whole are found', () => {
  const encode = (rows: number): Buffer =>
    encodeFramed(rows, [
      { name: 'text', type: 'String', values: Array.from({ length: rows }, (_, i) => `${SECRET}${i}`) },
      { name: 'n', type: 'UInt32', values: Array.from({ length: rows }, (_, i) => i) },
    ]);
  const blocks = fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 5 });
  fc.assert(
    fc.property(blocks, fc.nat(), fc.nat(), fc.constantFrom(...DAMAGES), (counts, at, bit, damage) => {
      const all = counts.map(encode);
      const bytes = Buffer.concat(all);
      expect(findFrames(bytes)).toEqual(all);
      if (bytes.length === 0) return;
      const place = at % bytes.length;
      const ends = all.map((_, i) => all.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0));
      const hit = ends.findIndex((end) => end > place);
      const [before, after] = [all.slice(0, hit), all.slice(hit + 1)];
      const between = [...before, Buffer.alloc(bit % 5_000), ...all.slice(hit)];
      const damaged: Record<(typeof DAMAGES)[number], readonly [Buffer, readonly Buffer[]]> = {
        cut: [bytes.subarray(0, place), before],
        flip: [flip(bytes, place, bit % 8), [...before, ...after]],
        insert: [Buffer.concat(between), all],
      };
      const [left, whole] = damaged[damage];
      expect(findFrames(left)).toEqual(whole);
    }),
  );
});

test('what was stored is read at once, and a close leaves no journal', async () => {
  await withEngine(async (engine) => {
    for (let tick = 1; tick <= 3; tick += 1) {
      await insertArrivals(engine, makeBlock(tick), tick);
      expect((await readTicks(engine)).at(-1)).toBe(tick);
    }
    await insertArrivals(engine, makeBlock(4), 4); // nobody reads it
  });
  expect(await readdir(join(data, 'incoming'))).toEqual([]);
  await withEngine(async (engine) => expect(await readTicks(engine)).toEqual([1, 2, 3, 4]));
});

/** Stores ticks in a process of its own, says so, and is killed before the engine has seen them. */
async function storeAndDie(ticks: readonly number[]): Promise<void> {
  const code = `
    const { openEmbedded } = await import(${JSON.stringify(new URL('embedded.ts', import.meta.url))});
    const { migrate } = await import(${JSON.stringify(new URL('migrations.ts', import.meta.url))});
    const { insertArrivals } = await import(${JSON.stringify(new URL('insert.ts', import.meta.url))});
    const { makeArrivalBlock } = await import(${JSON.stringify(new URL('../ingest/columns.ts', import.meta.url))});
    const engine = await openEmbedded(${JSON.stringify(data)});
    await migrate(engine);
    for (const tick of ${JSON.stringify(ticks)}) {
      const batch = { epoch: 1, seq: tick, sentMs: 0, ticksMs: [${START_MS} + tick * 1000], series: [['m.gauge', '']], values: Float64Array.of(tick) };
      await insertArrivals(engine, makeArrivalBlock([{ host: 'web-1', batch, quarantined: 0, receivedMs: 0 }], () => true), 1);
    }
    process.stdout.write('stored', () => process.kill(process.pid, 'SIGKILL'));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = text(child.stdout);
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
  expect(await said).toBe('stored');
}

const JOURNALS = ['incoming/journal-0.native', 'incoming/journal-1.native'] as const;

/** The blocks that a kill has left, in whichever of the two files. */
async function readLeft(): Promise<readonly Buffer[]> {
  const files = await Promise.all(JOURNALS.map((name) => readFile(join(data, name))));
  const blocks = files.flatMap((file) => findFrames(file));
  expect(blocks).not.toEqual([]);
  return blocks;
}

async function writeJournal(name: (typeof JOURNALS)[number], blocks: readonly Uint8Array[]): Promise<void> {
  await writeFile(join(data, name), Buffer.concat(blocks));
}

test('what was stored before a kill is there after it, and what the kill has torn is not', async () => {
  await storeAndDie([1, 2]);
  const torn = encodeFramed(1, [{ name: 'n', type: 'UInt32', values: [1] }]).subarray(0, -1);
  const left = await readLeft();
  await writeJournal(JOURNALS[0], [...left, torn]);
  await writeJournal(JOURNALS[1], []);
  await withEngine(async (engine) => {
    expect(await readTicks(engine)).toEqual([1, 2]);
    await insertArrivals(engine, makeBlock(3, 'web-1'), 2);
    expect(await readTicks(engine)).toEqual([1, 2, 3]);
  });
});

test('what a kill has left in the journal and in the table is stored once', async () => {
  await storeAndDie([1, 2]);
  const left = await readLeft();
  await withEngine(readTicks);
  await writeJournal(JOURNALS[1], left); // as if the kill had come before it was emptied
  await withEngine(async (engine) => {
    await openCompaction(engine, await openVersions(engine, Date.now));
    expect(await readTicks(engine)).toEqual([1, 2]);
  });
  await writeJournal(JOURNALS[0], left); // and after it was compacted
  await withEngine(async (engine) => {
    await openCompaction(engine, await openVersions(engine, Date.now));
    expect(await readTicks(engine)).toEqual([1, 2]);
  });
});

test('while the engine takes nothing, what is stored waits, and is there when it does again', async () => {
  await withEngine(async (engine) => {
    await engine.command('RENAME TABLE arrivals TO away');
    await insertArrivals(engine, makeBlock(1), 1);
    expect(await engine.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await insertArrivals(engine, makeBlock(2), 1);
    await engine.command('RENAME TABLE away TO arrivals');
    await insertArrivals(engine, makeBlock(3), 1);
    expect(await readTicks(engine)).toEqual([1, 2, 3]);
  });
});

test('a compaction does not begin while the engine does not take what is stored before it', async () => {
  await withEngine(async (engine) => {
    const compaction = await openCompaction(engine, await openVersions(engine, Date.now));
    const put = async (tick: number): Promise<void> => {
      const { generation, release } = compaction.hold(1);
      await insertArrivals(engine, makeBlock(tick), generation).finally(release);
    };
    await put(1);
    expect(await readTicks(engine)).toEqual([1]); // it is in the table now
    await put(2);
    const files = ['journal-0', 'journal-1'].map((name) => join(data, 'incoming', `${name}.native`));
    const file = files.find((one) => statSync(one).size > 0) ?? '';
    await rename(file, join(data, 'away'));
    await expect(compaction.run()).rejects.toThrow('Cannot write to the database');
    expect(await readTicks(engine)).toEqual([1]);
    await rename(join(data, 'away'), file);
    expect(await readTicks(engine)).toEqual([1, 2]);
    await compaction.run();
    expect(await readTicks(engine)).toEqual([1, 2]);
  });
});

/** Opens the store with a log, and gives what it says and what is in it. */
async function readAfter(frames: readonly Uint8Array[]) {
  const lines: string[] = [];
  await writeJournal(JOURNALS[0], []);
  await writeJournal(JOURNALS[1], frames);
  const log = makeLog((line) => void lines.push(line), Date.now);
  const engine = await openEmbedded(data, {}, log);
  try {
    await insertArrivals(engine, makeBlock(9), 9); // behind what was found
    await engine.flush();
    return { ticks: await readTicks(engine), said: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
  } finally {
    await engine.close();
  }
}

test('what is whole on both sides of damage is stored, and what is lost is told', async () => {
  await storeAndDie([1, 2, 3]);
  const [first, second, third] = await readLeft();
  if (first === undefined || second === undefined || third === undefined) throw new Error('There are three');
  const { ticks, said } = await readAfter([first, flip(second, second.length - 1, 0), third, Buffer.alloc(4_096)]);
  expect(ticks).toEqual([1, 3, 9]);
  const lostBytes = second.length + 4_096;
  expect(said).toMatchObject([{ event: 'journal.damaged', keptBytes: first.length + third.length, lostBytes }]);
});

test('a block that the engine cannot read is set aside, and told; those around it are stored', async () => {
  await storeAndDie([1, 2, 3]);
  const [first, ...others] = await readLeft();
  if (first === undefined) throw new Error('There are three');
  const refused = encodeFramed(1, [{ name: 'values', type: 'String', values: ['none'] }]);
  const { ticks, said } = await readAfter([first, refused, ...others]);
  expect(ticks).toEqual([1, 2, 3, 9]);
  const [name = ''] = await readdir(join(data, 'refused'));
  expect(said).toMatchObject([{ event: 'journal.refused', file: join(data, 'refused', name) }]);
  expect(await readFile(join(data, 'refused', name))).toEqual(refused);
  expect(await readdir(join(data, 'incoming'))).toEqual([]);
});

const BLOCK = encodeFramed(1, [{ name: 'n', type: 'UInt32', values: [1] }]);

function openBare(take: () => Promise<void>): Journal {
  const log = makeLog(() => undefined, Date.now);
  return openJournal({ directory: data, refused: join(data, 'refused'), take, canRead: async () => true, log });
}

test('all who ask for a flush while the engine is busy wait for one', async () => {
  const begun = Promise.withResolvers<void>();
  let takes = 0;
  const journal = openBare(async () => {
    takes += 1;
    begun.resolve();
    await journal.append(BLOCK); // more comes while it is busy
  });
  await journal.append(BLOCK);
  const first = journal.flush();
  await begun.promise;
  await Promise.all([first, ...Array.from({ length: 20 }, () => journal.flush())]);
  expect(takes).toBe(2);
  await journal.close();
});

test('a journal that is full takes small blocks no more than large ones: the fault is not in the block', async () => {
  const journal = openBare(() => Promise.reject(new Error('It takes nothing')));
  const rows = 500_000;
  const large = encodeFramed(rows, [{ name: 'n', type: 'Float64', values: new Float64Array(rows) }]);
  const fill = async (): Promise<void> => {
    for (let bytes = 0; bytes <= 2 ** 30; bytes += large.length) await journal.append(large);
  };
  await expect(fill()).rejects.toThrow('has taken nothing for too long');
  await expect(journal.append(BLOCK)).rejects.toThrow('has taken nothing for too long');
  await journal.close();
});

test('a journal that has closed writes to no file, and keeps what was not taken', async () => {
  const journal = openBare(() => Promise.reject(new Error('It takes nothing')));
  await journal.append(BLOCK);
  await journal.close();
  const other = join(data, 'other');
  const handles = await Promise.all([1, 2].map((i) => open(`${other}${i}`, 'w'))); // the numbers that have become free
  for (const handle of handles) await handle.writeFile('x'.repeat(2 * BLOCK.length));
  await expect(journal.append(BLOCK)).rejects.toThrow('The store is closing');
  await expect(journal.flush()).rejects.toThrow('The store is closing');
  for (const handle of handles) await handle.close();
  for (const i of [1, 2]) expect(await readFile(`${other}${i}`, 'utf8')).toBe('x'.repeat(2 * BLOCK.length));
  expect(await readFile(join(data, 'journal-0.native'))).toEqual(BLOCK);
});

test('a directory where the journal should be is told with what helps', async () => {
  const place = join(data, 'incoming/journal-1.native');
  await mkdir(place, { recursive: true });
  const error: unknown = await openEmbedded(data).catch((cause: unknown) => cause);
  expect(explainDataFault(data, error)?.message).toContain(
    `${place} is a directory where a file should be; move it away`,
  );
});
