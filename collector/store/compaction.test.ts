import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { WINDOW_MS } from '../domain/samples.ts';
import { makeArrivalBlock } from '../ingest/columns.ts';
import { DRIVER, makeFailing, openTestStore, type TestStore } from '../test-store.ts';
import { openCompaction, type Compaction } from './compaction.ts';
import { insertArrivals } from './insert.ts';
import { openVersions, rollUpDue } from './rollup.ts';
import type { Engine } from './store.ts';

let engine: Engine;
let close: TestStore['close'];

beforeAll(async () => {
  ({ engine, close } = await openTestStore());
});

afterAll(() => close());

beforeEach(async () => {
  for (const table of ['arrivals', 'chunks', 'chunks_next', 'rollup_5m', 'rollup_1h', 'rollup_1d', 'rollup_due'])
    await engine.command(`TRUNCATE TABLE ${table}`);
});

const HOUR_MS = 3_600_000;
/** The start of a four hours, the day before yesterday: what follows lies in two partitions. */
const START_MS = Math.floor(Date.now() / (4 * HOUR_MS)) * 4 * HOUR_MS - 48 * HOUR_MS;

/** Stores ticks of a host as a commit does. The value of a tick is its number. */
async function put(compaction: Compaction, host: string, ticks: readonly number[], isNew = false): Promise<void> {
  const { generation, release } = compaction.hold(1);
  await insert(host, ticks, { generation, isNew });
  release();
}

/** That which a commit would belong to now. */
function generationOf(compaction: Compaction): number {
  const { generation, release } = compaction.hold(1);
  release();
  return generation;
}

type Into = { readonly generation: number; readonly isNew?: boolean };

async function insert(host: string, ticks: readonly number[], { generation, isNew = false }: Into): Promise<void> {
  const ticksMs = ticks.map((tick) => START_MS + tick * 60_000);
  const series = [['m.gauge', '']] as const;
  const batch = { epoch: 1, seq: 1, sentMs: 0, ticksMs, series, values: Float64Array.from(ticks) };
  const block = makeArrivalBlock([{ host, batch, quarantined: 0, receivedMs: 0 }], () => isNew);
  await insertArrivals(engine, block, generation);
}

async function open(on: Engine = engine): Promise<Compaction> {
  return openCompaction(on, await openVersions(on, Date.now));
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

async function readTicks(host: string): Promise<unknown> {
  const [row] = await engine.query(
    'SELECT arraySort(groupArray(value)) AS ticks FROM samples WHERE host = {host:String}',
    { host },
  );
  return row?.['ticks'];
}

async function readRollup(): Promise<unknown> {
  return engine.query('SELECT host, ts, samples, avg, last FROM rollup_5m FINAL ORDER BY ALL');
}

async function countRows(table: string): Promise<number> {
  const [row] = await engine.query(`SELECT count() AS n FROM ${table}`);
  return Number(row?.['n']);
}

test('what has arrived lies in chunks after a run, late and repeated ticks among it, each once', async () => {
  const compaction = await open();
  await put(compaction, 'web-1', range(0, 20));
  await put(compaction, 'web-1', range(25, 30));
  await compaction.run();
  await put(compaction, 'web-1', [...range(10, 30), 300]);
  await put(compaction, 'web-1', range(28, 31));
  await compaction.run();
  expect(await countRows('arrivals')).toBe(0);
  expect(await readTicks('web-1')).toEqual([...range(0, 31), 300]);
});

test('a commit that is under way is compacted with its generation, when it has ended', async () => {
  const compaction = await open();
  const { generation, release } = compaction.hold(1);
  await insert('web-1', [1], { generation });
  const running = compaction.run();
  await expect.poll(() => generationOf(compaction)).not.toBe(generation);
  await put(compaction, 'web-1', [2]);
  await insert('web-1', [3], { generation });
  release();
  await running;
  expect([await countRows('arrivals'), await readTicks('web-1')]).toEqual([1, [1, 2, 3]]);
  await compaction.run();
  expect([await countRows('arrivals'), await readTicks('web-1')]).toEqual([0, [1, 2, 3]]);
});

test('what arrives in a generation that is compacted already is there once, though it was new', async () => {
  const compaction = await open();
  const { generation, release } = compaction.hold(1);
  release();
  await insert('web-1', [1, 2], { generation, isNew: true });
  await compaction.run();
  await insert('web-1', [1, 2], { generation, isNew: true }); // of which nobody knew how it had ended
  await put(compaction, 'web-1', [3], true);
  await compaction.run();
  expect([await countRows('arrivals'), await readTicks('web-1')]).toEqual([0, [1, 2, 3]]);
});

test('a generation ends when it has many samples', async () => {
  const compaction = await open();
  const { generation, release } = compaction.hold(6_000_000);
  release();
  const next = generationOf(compaction);
  expect(next).not.toBe(generation);
  expect(generationOf(compaction)).toBe(next);
});

test('it is behind while far more has arrived than is compacted, and goes on', async () => {
  const compaction = await open();
  const { generation, release } = compaction.hold(1_000_000_000);
  await insert('web-1', [1], { generation });
  expect(compaction.isBehind()).toBe(false); // nobody compacts
  const running = compaction.run();
  await expect.poll(() => compaction.isBehind()).toBe(true);
  release();
  await running;
  expect(compaction.isBehind()).toBe(false);
  const again = compaction.run();
  expect(compaction.isBehind()).toBe(false);
  await again;
});

test('killed after any of its commands, a compaction is done again, and nothing is lost or there twice', async () => {
  const ticks = range(230, 250); // in two partitions
  const expected = [230, 235, 240, 245].map((first) => {
    const ts = new Date(START_MS + first * 60_000).toISOString().slice(0, 19).replace('T', ' ');
    return { host: 'web-1', ts, samples: 5, avg: first + 2, last: first + 4 };
  });
  let wasKilled = true;
  let kills = 0;
  for (let last = 0; wasKilled; last += 1) {
    for (const table of ['arrivals', 'chunks', 'chunks_next', 'rollup_5m', 'rollup_due'])
      await engine.command(`TRUNCATE TABLE ${table}`);
    const whole = await open();
    await put(whole, 'web-1', ticks.slice(0, 12));
    await whole.run();
    await put(whole, 'web-1', ticks.slice(8, 12));
    await put(whole, 'web-1', ticks.slice(12), true);
    let commands = 0;
    const killed = makeFailing(engine, () => {
      commands += 1;
      if (commands > last) throw new Error('killed');
    });
    const outcome = await open(killed).then(
      () => null,
      (error: unknown) => error,
    );
    wasKilled = commands > last;
    expect(outcome === null).toBe(!wasKilled);
    kills += wasKilled ? 1 : 0;
    await open();
    expect(await readTicks('web-1')).toEqual(ticks);
    expect(await readRollup()).toEqual(expected);
    const due = 'SELECT DISTINCT tier, host FROM rollup_due FINAL WHERE done = 0';
    expect(await engine.query(due)).toEqual([{ tier: '1h', host: 'web-1' }]);
  }
  expect(kills).toBeGreaterThan(8);
});

test('a run that failed after any of its commands is done again by the next, and nothing is lost or there twice', async () => {
  const ticks = range(230, 250);
  let hasFailed = true;
  let failures = 0;
  for (let last = 0; hasFailed; last += 1) {
    for (const table of ['arrivals', 'chunks', 'chunks_next', 'rollup_5m', 'rollup_due'])
      await engine.command(`TRUNCATE TABLE ${table}`);
    let left = Infinity;
    const failing = makeFailing(engine, () => {
      left -= 1;
      if (left < 0) throw new Error('away');
    });
    const compaction = await open(failing);
    await put(compaction, 'web-1', ticks, true);
    left = last;
    hasFailed = await compaction.run().then(
      () => false,
      () => true,
    );
    failures += hasFailed ? 1 : 0;
    left = Infinity;
    await compaction.run();
    expect([await countRows('arrivals'), await readTicks('web-1')]).toEqual([0, ticks]);
  }
  expect(failures).toBeGreaterThan(5);
});

test('who reads while what has arrived takes its place among the chunks sees each sample once', async () => {
  const compaction = await open();
  let isOver = false;
  let stored = 0;
  const reading = (async () => {
    const seen = new Set<number>();
    while (!isOver) {
      const atLeast = stored;
      const ticks = await readTicks('web-1');
      const count = Array.isArray(ticks) ? ticks.length : 0;
      const distinct = new Set(Array.isArray(ticks) ? ticks : []).size;
      // On a server, who reads in between sees a sample twice for a moment.
      expect(DRIVER === 'embedded' ? count : distinct).toBe(distinct);
      expect(distinct).toBeGreaterThanOrEqual(atLeast);
      seen.add(distinct);
    }
    return seen.size;
  })();
  for (let round = 0; round < 12; round += 1) {
    await put(compaction, 'web-1', range(stored, stored + 10));
    stored += 10;
    await compaction.run();
  }
  isOver = true;
  expect(await reading).toBeGreaterThan(2);
});

test('hours and days are computed when they are over, and again when something came late, of that host alone', async () => {
  const compaction = await open();
  const versions = await openVersions(engine, Date.now);
  const rollUp = (hours: number) => rollUpDue(engine, { versions, now: () => START_MS + hours * HOUR_MS });
  const read = (tier: string) =>
    engine.query(
      `SELECT host, toUnixTimestamp(ts) * 1000 AS tsMs, samples, min, max, avg, median, round(stddev, 6) AS stddev, last
       FROM rollup_${tier} FINAL ORDER BY ALL`,
    );
  await put(compaction, 'web-1', [0, 1, 2, 59, 60]);
  await put(compaction, 'web-2', [3]);
  await compaction.run();
  await rollUp(1);
  expect(await read('1h')).toEqual([]);
  await rollUp(1.5);
  const first = { tsMs: START_MS, samples: 4, min: 0, max: 59, avg: 15.5, median: 1.5, stddev: 25.124689, last: 59 };
  const other = { host: 'web-2', tsMs: START_MS, samples: 1, min: 3, max: 3, avg: 3, median: 3, stddev: 0, last: 3 };
  expect(await read('1h')).toEqual([{ host: 'web-1', ...first }, other]);
  await put(compaction, 'web-1', [1, 30]);
  await compaction.run();
  await rollUp(3);
  const late = { ...first, samples: 5, avg: 18.4, median: 2, stddev: 23.208619 };
  const second = { tsMs: START_MS + HOUR_MS, samples: 1, min: 60, max: 60, avg: 60, median: 60, stddev: 0, last: 60 };
  expect(await read('1h')).toEqual([{ host: 'web-1', ...late }, { host: 'web-1', ...second }, other]);
  expect(await read('1d')).toEqual([]);
  await rollUp(50);
  const startOfDayMs = Math.floor(START_MS / 86_400_000) * 86_400_000;
  expect(await read('1d')).toMatchObject([
    { host: 'web-1', tsMs: startOfDayMs, samples: 6, max: 60, median: 16, last: 60 },
    { host: 'web-2', tsMs: startOfDayMs, samples: 1, last: 3 },
  ]);
  const [due] = await engine.query('SELECT count() AS n FROM rollup_due FINAL WHERE done = 0');
  expect(due).toEqual({ n: 0 });
});

test('chunks of one series in one window become one row when the engine merges them', async () => {
  const compaction = await open();
  for (const tick of [3, 1, 4, 0, 2]) {
    await put(compaction, 'web-1', [tick]);
    await compaction.run();
  }
  await engine.command('OPTIMIZE TABLE chunks FINAL');
  const [row] = await engine.query(
    'SELECT count() AS rows, max(length(values)) AS most, any(start) AS start FROM chunks',
  );
  expect(row).toMatchObject({ rows: 1, most: WINDOW_MS / 60_000 });
  expect(await readTicks('web-1')).toEqual([0, 1, 2, 3, 4]);
});

test('versions are above what has arrived, also by a clock that is behind', async () => {
  const generation = 5_000_000_000_000;
  await engine.command(`INSERT INTO arrivals (generation, host, start) VALUES (${generation}, 'h', 0)`);
  const versions = await openVersions(engine, () => 1000);
  expect(versions.next()).toBe(generation + 1);
});
