import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { WINDOW_MS } from '../domain/samples.ts';
import { DRIVER, makeFailing, openTestStore, type TestStore } from '../test-store.ts';
import { openArchive } from './archive.ts';
import type { Engine } from './store.ts';

let engine: Engine;
let close: TestStore['close'];

beforeAll(async () => {
  ({ engine, close } = await openTestStore());
});

afterAll(() => close());

beforeEach(async () => {
  for (const table of ['chunks', 'archive', 'archive_next']) await engine.command(`TRUNCATE TABLE ${table}`);
});

const HOUR_MS = 3_600_000;
/** The start of a four hours, the day before yesterday. */
const START_MS = Math.floor(Date.now() / (4 * HOUR_MS)) * 4 * HOUR_MS - 48 * HOUR_MS;
/** When the four hours are due that begin then. */
const DUE_MS = START_MS + 5 * HOUR_MS;

type Chunk = { readonly labels: string; readonly startMs: number; readonly offsets: readonly number[] };

/** The value of a tick, whenever it is stored. */
const valueAt = (offset: number): number => offset / 1000;

async function put(chunks: readonly Chunk[], values?: readonly (readonly number[])[]): Promise<void> {
  const rows = chunks.map(({ labels, startMs, offsets }, i) => {
    const bits = (values?.[i] ?? offsets.map(valueAt)).map((value) => `'${bitsOf(value)}'`);
    return `('${labels}', ${startMs / 1000}, [${offsets.join(', ')}], [${bits.join(', ')}])`;
  });
  await engine.command(
    `INSERT INTO chunks (metric, host, labels, start, offsetsMs, values)
     SELECT 'm.gauge', 'web-1', row.1, toDateTime(row.2, 'UTC'), row.3, arrayMap(bits -> reinterpretAsFloat64(unhex(bits)), row.4)
     FROM (SELECT arrayJoin([${rows.join(', ')}]) AS row)`,
  );
}

/** In hexadecimal, the lowest byte first. */
function bitsOf(value: number): string {
  return Buffer.from(Float64Array.of(value).buffer).toString('hex');
}

async function archiveAll(on: Engine = engine, nowMs = DUE_MS): Promise<void> {
  const { moveNext } = await openArchive(on, { now: () => nowMs });
  while (await moveNext());
}

/** All samples, each with the bits of its value. */
function readSamples(): Promise<readonly Record<string, unknown>[]> {
  return engine.query(
    `SELECT labels, toUnixTimestamp64Milli(ts) AS tsMs, hex(reinterpretAsUInt64(value)) AS bits FROM samples ORDER BY ALL`,
  );
}

async function countRows(table: string): Promise<number> {
  const [row] = await engine.query(`SELECT count() AS n FROM ${table}`);
  return Number(row?.['n']);
}

/** One chunk for each row of values. */
function makeChunks(rows: readonly (readonly number[])[]): readonly Chunk[] {
  return rows.map((row, i) => ({
    labels: `i=${i}`,
    startMs: START_MS + (i % 48) * WINDOW_MS,
    offsets: row.map((_, at) => at * 1000),
  }));
}

test('every value comes back bit by bit, decimals or not', async () => {
  const decimal = fc
    .tuple(fc.integer({ min: -1e9, max: 1e9 }), fc.nat({ max: 8 }))
    .map(([units, digits]) => units / 10 ** digits);
  const edge = fc.constantFrom(
    0,
    -0,
    0.1 + 0.2,
    2 ** 53,
    2 ** 53 + 2,
    -(2 ** 63),
    2 ** 64,
    1e300,
    5e-324,
    Infinity,
    -Infinity,
    9007199254.740993,
  );
  const value = fc.oneof(
    { weight: 6, arbitrary: decimal },
    { weight: 2, arbitrary: fc.integer() },
    edge,
    fc.double({ noNaN: true }),
  );
  const alike = fc.array(decimal, { minLength: 1, maxLength: 30 });
  const rows = fc.array(fc.oneof(alike, fc.array(value, { minLength: 1, maxLength: 30 })), {
    minLength: 1,
    maxLength: 60,
  });
  let packed = 0;
  let plain = 0;
  await fc.assert(
    fc.asyncProperty(rows, async (all) => {
      for (const table of ['chunks', 'archive']) await engine.command(`TRUNCATE TABLE ${table}`);
      await put(makeChunks(all), all);
      const before = await readSamples();
      await archiveAll();
      expect([await countRows('chunks'), await readSamples()]).toEqual([0, before]);
      const [kinds] = await engine.query('SELECT countIf(digits < 0) AS plain, count() AS rows FROM archive');
      plain += Number(kinds?.['plain']);
      packed += Number(kinds?.['rows']) - Number(kinds?.['plain']);
    }),
    { numRuns: DRIVER === 'server' ? 5 : 30 },
  );
  expect(Math.min(packed, plain)).toBeGreaterThan(0);
});

test('what is over is archived, an hour after it; what is not stays', async () => {
  const chunks = [0, 3.75, 4, 8].map((hours) => ({ labels: '', startMs: START_MS + hours * HOUR_MS, offsets: [0] }));
  await put(chunks);
  const before = await readSamples();
  await archiveAll(engine, DUE_MS - 1);
  expect([await countRows('chunks'), await countRows('archive')]).toEqual([4, 0]);
  await archiveAll(engine, DUE_MS);
  expect([await countRows('chunks'), await countRows('archive')]).toEqual([2, 2]);
  await archiveAll(engine, DUE_MS + 4 * HOUR_MS);
  expect([await countRows('chunks'), await countRows('archive')]).toEqual([1, 3]);
  expect(await readSamples()).toEqual(before);
});

test('rows of one key become one, in the order of time; what comes late follows', async () => {
  const at = (offsets: readonly number[]): Chunk => ({ labels: '', startMs: START_MS, offsets });
  await engine.command('SYSTEM STOP MERGES chunks');
  for (const offsets of [[20_000, 30_000], [0], [290_000, 10_000]]) await put([at(offsets)]);
  await engine.command('SYSTEM START MERGES chunks');
  await archiveAll();
  expect(await engine.query('SELECT offsetsMs, digits, first, steps FROM archive')).toEqual([
    { offsetsMs: [0, 10_000, 20_000, 30_000, 290_000], digits: 0, first: 0, steps: [10, 10, 10, 260] },
  ]);
  await put([at([40_000]), { labels: 'late=1', startMs: START_MS, offsets: [0] }]);
  await archiveAll();
  expect([await countRows('chunks'), (await readSamples()).length]).toEqual([0, 7]);
});

test('killed after any of its commands, it is done again, and nothing is lost or there twice', async () => {
  const early = [0, 1].map((i) => ({ labels: `i=${i}`, startMs: START_MS, offsets: [0, 1000, 2000] }));
  const late = [
    ...[0, 1].map((i) => ({ labels: `i=${i}`, startMs: START_MS, offsets: [1500, 2500] })),
    { labels: 'i=9', startMs: START_MS + HOUR_MS, offsets: [7] },
  ];
  for (const first of [[], early]) {
    let wasKilled = true;
    let kills = 0;
    for (let last = 0; wasKilled; last += 1) {
      for (const table of ['chunks', 'archive', 'archive_next']) await engine.command(`TRUNCATE TABLE ${table}`);
      if (first.length > 0) {
        await put(first);
        await archiveAll();
      }
      await put(late);
      const before = await readSamples();
      let commands = 0;
      const killed = makeFailing(engine, () => {
        commands += 1;
        if (commands > last) throw new Error('killed');
      });
      const outcome = await archiveAll(killed).catch((error: unknown) => error);
      wasKilled = commands > last;
      expect(outcome === undefined).toBe(!wasKilled);
      kills += wasKilled ? 1 : 0;
      await openArchive(engine, { now: () => START_MS }); // nothing is due by this clock
      expect(await readSamples()).toEqual(before);
      await archiveAll();
      expect([await countRows('chunks'), await countRows('archive_next'), await readSamples()]).toEqual([0, 0, before]);
    }
    expect(kills).toBeGreaterThan(3);
  }
});

test('what is added to a partition or dropped from it while it is being moved is neither lost nor back', async () => {
  const chunk = (labels: string): Chunk => ({ labels, startMs: START_MS, offsets: [0, 1000] });
  await put([chunk('i=0')]);
  let meanwhile: (() => Promise<void>) | null = null;
  const { moveNext } = await openArchive(engine, {
    now: () => DUE_MS,
    async between(task) {
      const isLast = (await countRows('archive_next')) > 0;
      if (isLast) await meanwhile?.();
      return task();
    },
  });
  meanwhile = () => put([chunk('i=1')]);
  expect(await moveNext()).toBe(false);
  expect([await countRows('archive'), (await readSamples()).length]).toEqual([0, 4]);
  const id = (await engine.query('SELECT DISTINCT _partition_id AS id FROM chunks'))[0]?.['id'];
  meanwhile = () => engine.command(`ALTER TABLE chunks DROP PARTITION ID '${String(id)}'`);
  expect(await moveNext()).toBe(false);
  expect(await readSamples()).toEqual([]);
  meanwhile = null;
  await put([chunk('i=2')]);
  expect(await moveNext()).toBe(true);
  expect([await countRows('chunks'), (await readSamples()).length]).toEqual([0, 2]);
});

test('a move that fails, or is ended, leaves nothing behind', async () => {
  await put([{ labels: '', startMs: START_MS, offsets: [0, 1000] }]);
  const { moveNext } = await openArchive(engine, { now: () => DUE_MS });
  expect(await moveNext(AbortSignal.abort())).toBe(false);
  expect(await countRows('archive_next')).toBe(0);
  let isFull = false;
  const failing = makeFailing(engine, () => {
    if (isFull) throw new Error('full');
  });
  const other = await openArchive(
    {
      ...failing,
      async command(sql) {
        await failing.command(sql);
        isFull = sql.startsWith('INSERT INTO archive_next');
        if (isFull) throw new Error('full');
      },
    },
    { now: () => DUE_MS },
  );
  await expect(other.moveNext()).rejects.toThrow('full');
  await other.finish();
  isFull = false;
  await expect(other.moveNext()).rejects.toThrow('full');
  await openArchive(engine, { now: () => DUE_MS });
  expect((await readSamples()).length).toBe(2);
  expect(await moveNext()).toBe(true);
  expect([await countRows('chunks'), (await readSamples()).length]).toEqual([0, 2]);
});
