import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import type { Series } from '@muster/proto/batch';

import { KEEP_DEFAULT } from '../domain/keep.ts';
import { WINDOW_MS } from '../domain/samples.ts';
import { makeArrivalBlock } from '../ingest/columns.ts';
import { openTestStore, type TestStore } from '../test-store.ts';
import { openCompaction } from './compaction.ts';
import { insertArrivals, insertEvents } from './insert.ts';
import { migrate, MIGRATIONS } from './migrations.ts';
import { readHeard, readNewest } from './newest.ts';
import { chooseTier, POINTS_MAX, readSeries, type SeriesQuery } from './queries.ts';
import { openVersions, rollUpDue } from './rollup.ts';
import type { Engine } from './store.ts';

let engine: Engine;
let close: TestStore['close'];

beforeAll(async () => {
  ({ engine, close } = await openTestStore());
});

afterAll(() => close());

beforeEach(async () => {
  for (const table of ['arrivals', 'chunks', 'rollup_5m', 'rollup_1h', 'rollup_1d', 'rollup_due', 'events', 'batches'])
    await engine.command(`TRUNCATE TABLE ${table}`);
});

const DAY_MS = 86_400_000;
/** The start of a five minutes, yesterday. */
const START_MS = Math.floor(Date.now() / 300_000) * 300_000 - DAY_MS;
/** A series as `readSeries` gives it, from its points. */
function makeRow(labels: string, ...points: readonly (readonly [tsMs: number, value: number])[]) {
  return { labels, tsMs: points.map(([tsMs]) => tsMs), values: points.map(([, value]) => value) };
}

const RANGE = { host: 'web-1', metric: 'm.gauge', kind: 'gauge' } as const;

/** Puts one series of one host, a value a step, as arrived. */
async function put(
  [metric, labels]: Series,
  startMs: number,
  stepMs: number,
  values: readonly number[],
): Promise<void> {
  const ticksMs = values.map((_, i) => startMs + i * stepMs);
  const batch = {
    epoch: 1,
    seq: 1,
    sentMs: 0,
    ticksMs,
    series: [[metric, labels] as const],
    values: Float64Array.from(values),
  };
  await insertArrivals(engine, makeArrivalBlock([{ host: 'web-1', batch, quarantined: 0, receivedMs: 0 }]), 1);
}

/** As `readSeries` of a store with all that it has, and the tier of the newest part. */
async function readHere(query: SeriesQuery) {
  const { tiers, ...answer } = await readSeries(engine, query, { keep: KEEP_DEFAULT, nowMs: Date.now() });
  return { tier: tiers.at(-1)?.tier, ...answer };
}

/** Compacts all that has arrived. */
async function compact(now: () => number = Date.now) {
  const versions = await openVersions(engine, now);
  return { compaction: await openCompaction(engine, versions), versions };
}

test('insertArrivals() stores text and numbers exactly, whatever the text, compacted or not', async () => {
  const texts = ["'; DROP TABLE samples; --", 'a\n\nSELECT 1', 'zwölf €\u{1F600}', '\\N', '', '{x:String}', '\0'];
  const values = [0.1, -0, 1e308, 5e-324, 2 ** 53];
  const ticksMs = values.map((_, i) => START_MS + i);
  const items = texts.map((text) => ({
    host: `host ${text}`,
    batch: {
      epoch: 1,
      seq: 1,
      sentMs: 0,
      ticksMs,
      series: [['m.gauge', text] as const],
      values: Float64Array.from(values),
    },
    quarantined: 0,
    receivedMs: 0,
  }));
  await insertArrivals(engine, makeArrivalBlock(items), 1);
  const read = () =>
    engine.query(
      'SELECT host, labels, groupArray(value) AS v, groupArray(toUnixTimestamp64Milli(ts)) AS t FROM (SELECT * FROM samples ORDER BY ts) GROUP BY host, labels',
    );
  const arrived = await read();
  await compact();
  for (const rows of [arrived, await read()]) {
    const byHost = new Map(rows.map((row) => [row['host'], row]));
    expect(byHost.size).toBe(texts.length);
    for (const text of texts) {
      expect(byHost.get(`host ${text}`)).toEqual({ host: `host ${text}`, labels: text, v: values, t: ticksMs });
    }
  }
});

test('a batch that arrives twice is read once, and compacted to one', async () => {
  for (let i = 0; i < 2; i += 1) await put(['m.gauge', ''], START_MS, 1000, [1, 2, 3]);
  const read = () => readHere({ ...RANGE, fromMs: START_MS, toMs: START_MS + 10_000 });
  const expected = [makeRow('', [START_MS, 1], [START_MS + 1000, 2], [START_MS + 2000, 3])];
  expect((await read()).series).toEqual(expected);
  await compact();
  expect(await engine.query('SELECT count() AS n FROM samples')).toEqual([{ n: 3 }]);
  expect((await read()).series).toEqual(expected);
});

test('insertArrivals() leaves out samples that are NaN, and takes a block of nothing', async () => {
  await put(['m.gauge', ''], START_MS, 1000, [NaN, 2, NaN]);
  await put(['m.gauge', ''], START_MS, 1000, [NaN]);
  const read = () => engine.query('SELECT value FROM samples');
  expect(await read()).toEqual([{ value: 2 }]);
  await compact();
  expect(await read()).toEqual([{ value: 2 }]);
});

test('insertEvents() stores an event once', async () => {
  const event = { host: 'web-1', tsMs: START_MS, kind: 'gap', body: '{"dropped":3}' };
  await insertEvents(engine, [event]);
  await insertEvents(engine, [event]);
  expect(await engine.query('SELECT host, kind, body FROM events FINAL')).toEqual([
    { host: 'web-1', kind: 'gap', body: '{"dropped":3}' },
  ]);
});

test.for([
  [5 * 60_000, 'raw'],
  [6 * 3_600_000, 'raw'],
  [6 * 3_600_000 + 1, '5m'],
  [14 * DAY_MS, '5m'],
  [30 * DAY_MS, '1h'],
  [120 * DAY_MS, '1h'],
  [365 * DAY_MS, '1d'],
] as const)('chooseTier() of %i ms is %s', ([rangeMs, tier]) => {
  expect(chooseTier(0, rangeMs)).toBe(tier);
});

test('readSeries() gives a counter as its rate, without one over a reset', async () => {
  await put(['m.count', 'a=1'], START_MS, 1000, [100, 110, 130, 5, 25]);
  const range = { ...RANGE, metric: 'm.count', kind: 'counter', fromMs: START_MS, toMs: START_MS + 10_000 } as const;
  const answer = await readHere(range);
  expect(answer.series).toEqual([makeRow('a=1', [START_MS + 1000, 10], [START_MS + 2000, 20], [START_MS + 4000, 20])]);
});

test('readSeries() keeps the peak when it thins a series out', async () => {
  const values = Array.from({ length: 5000 }, (_, i) => (i === 1234 ? 99 : Math.sin(i / 50)));
  await put(['m.gauge', ''], START_MS, 1000, values);
  const answer = await readHere({ ...RANGE, fromMs: START_MS, toMs: START_MS + 5_000_000 });
  expect(answer.tier).toBe('raw');
  expect(answer.series[0]?.tsMs.length).toBe(POINTS_MAX);
  expect(answer.series[0]?.values).toContain(99);
});

test('readSeries() gives all label sets at the same ticks, the peaks of each among them', async () => {
  const sets = ['a', 'b', 'c', 'd'];
  for (const [at, set] of sets.entries()) {
    const values = Array.from({ length: 3000 }, (_, i) =>
      i === 700 * at + 5 ? 50 + at : Math.sin((i * (at + 1)) / 90),
    );
    await put(['m.gauge', `set=${set}`], START_MS, 1000, values);
  }
  const { series } = await readHere({ ...RANGE, fromMs: START_MS, toMs: START_MS + 3_000_000 });
  expect(series.map(({ labels }) => labels)).toEqual(sets.map((set) => `set=${set}`));
  for (const [at, { tsMs, values }] of series.entries()) {
    expect(tsMs).toEqual(series[0]?.tsMs);
    expect(tsMs.length).toBeLessThanOrEqual(1200);
    expect(values).toContain(50 + at);
  }
});

test('readSeries() names the gaps, at the interval of the series', async () => {
  await put(['m.gauge', ''], START_MS, 5000, [1, 2, 3]);
  await put(['m.gauge', ''], START_MS + 60_000, 5000, [4, 5]);
  const answer = await readHere({ ...RANGE, fromMs: START_MS, toMs: START_MS + 100_000 });
  expect(answer.gaps).toEqual([[START_MS + 10_000, START_MS + 60_000]]);
});

test('readSeries() of a host, metric or range without samples is empty', async () => {
  expect(await readHere({ ...RANGE, host: "x'y", fromMs: START_MS, toMs: START_MS + 1 })).toEqual({
    tier: 'raw',
    series: [],
    gaps: [],
  });
});

/** Samples of two hours at 10/s with an outage of 20 minutes, the last window half full. */
async function putTwoHours(): Promise<void> {
  const ticks = Array.from({ length: (23.5 * 300) / 5 }, (_, i) => i * 5000).filter(
    (ms) => ms < 3_600_000 || ms > 4_800_000,
  );
  for (const part of [ticks.filter((ms) => ms < 3_600_000), ticks.filter((ms) => ms > 4_800_000)]) {
    const startMs = START_MS + (part[0] ?? 0);
    await put(
      ['m.gauge', ''],
      startMs,
      5000,
      part.map((ms) => Math.floor(ms / 300_000)),
    );
    await put(
      ['m.count', ''],
      startMs,
      5000,
      part.map((ms) => ms / 100),
    );
  }
}

test('readSeries() over a long range reads the five minutes', async () => {
  await putTwoHours();
  await compact();
  const range = { fromMs: START_MS, toMs: START_MS + DAY_MS };
  const gauge = await readHere({ ...RANGE, ...range });
  expect(gauge.tier).toBe('5m');
  const windows = Array.from({ length: 24 }, (_, i) => i).filter((i) => i < 12 || i >= 16);
  expect(gauge.series).toEqual([makeRow('', ...windows.map((i) => [START_MS + i * WINDOW_MS, i] as const))]);
  expect(gauge.gaps).toEqual([[START_MS + 11 * WINDOW_MS, START_MS + 16 * WINDOW_MS]]);
});

test('readSeries() over a long range gives the true rate in every window: whole, partial, after an outage', async () => {
  await putTwoHours();
  await compact();
  const range = { fromMs: START_MS, toMs: START_MS + DAY_MS };
  const { series } = await readHere({ ...RANGE, ...range, metric: 'm.count', kind: 'counter' });
  expect(series[0]?.values.map((value) => Math.round(value * 1e6) / 1e6)).toEqual(Array<number>(19).fill(10));
});

/** So that the history begins there. */
async function putOldHour(tsMs: number): Promise<void> {
  await engine.insert('rollup_1h', 1, [
    { name: 'metric', type: 'String', values: [RANGE.metric] },
    { name: 'host', type: 'String', values: [RANGE.host] },
    { name: 'ts', type: "DateTime('UTC')", values: [tsMs / 1000] },
    { name: 'avg', type: 'Float64', values: [7] },
  ]);
}

test.for([true, false])(
  'readSeries() over a long range of little reads it in detail; compacted: %s',
  async (isCompacted) => {
    await put(['m.gauge', ''], START_MS, 60_000, [1, 2, 3]);
    if (isCompacted) await compact();
    const { tier, series } = await readHere({
      ...RANGE,
      fromMs: START_MS - 300 * DAY_MS,
      toMs: START_MS + 3_600_000,
    });
    expect([tier, series]).toEqual([
      'raw',
      [makeRow('', [START_MS, 1], [START_MS + 60_000, 2], [START_MS + 120_000, 3])],
    ]);
  },
);

test.for([
  ['1h', 15, 3_600_000],
  ['1d', 200, DAY_MS],
] as const)('readSeries() reads %s where they are rolled up, and joins the others', async ([tier, days, periodMs]) => {
  const startMs = Math.floor(START_MS / DAY_MS) * DAY_MS;
  const everyMs = periodMs / 4;
  for (let i = 0; i < 12; i += 1) await put(['m.gauge', ''], startMs - 3 * periodMs + i * everyMs, 1000, [i, i]);
  const { versions, compaction } = await compact();
  const range = { ...RANGE, fromMs: startMs - days * DAY_MS, toMs: startMs + DAY_MS };
  await putOldHour(range.fromMs);
  const expected = [1.5, 5.5, 9.5].map((value, i) => [startMs + (i - 3) * periodMs, value] as const);
  const old = tier === '1h' ? [[range.fromMs, 7] as const] : [];
  const read = async () => {
    const answer = await readHere(range);
    return [answer.tier, answer.series];
  };
  expect(await read()).toEqual([tier, [makeRow('', ...old, ...expected)]]);
  // The last of the three is not over yet.
  await rollUpDue(engine, { versions, now: () => startMs - 1 });
  const count = () => engine.query(`SELECT count() AS n FROM rollup_${tier} FINAL`);
  expect(await count()).toEqual([{ n: old.length + 2 }]);
  expect(await read()).toEqual([tier, [makeRow('', ...old, ...expected)]]);
  // What comes late is there at once.
  await put(['m.gauge', ''], startMs - 3 * periodMs + 60_000, 1000, [25]);
  await compaction.run();
  const late = [...old, [startMs - 3 * periodMs, 37 / 9] as const, ...expected.slice(1)];
  expect(await read()).toEqual([tier, [makeRow('', ...late)]]);
  await rollUpDue(engine, { versions, now: () => startMs + 2 * DAY_MS });
  expect(await count()).toEqual([{ n: old.length + 3 }]);
  expect(await read()).toEqual([tier, [makeRow('', ...late)]]);
});

test('readNewest() gives the newest value of each series that is renewed, compacted or not', async () => {
  const nowMs = START_MS + DAY_MS / 2;
  await put(['m.gauge', 'a=2'], START_MS, 5000, [1, 2, 3]);
  await put(['m.gauge', 'a=1'], nowMs - 20_000, 5000, [7, 8]);
  await compact();
  await put(['m.gauge', 'a=1'], nowMs - 10_000, 5000, [9]);
  expect(await readNewest(engine, nowMs)).toEqual([
    { host: 'web-1', metric: 'm.gauge', labels: 'a=1', tsMs: nowMs - 10_000, value: 9 },
  ]);
});

test('readHeard() says when hosts were heard, also those that have been silent for weeks', async () => {
  const nowMs = START_MS + DAY_MS / 2;
  const heard = [
    { host: 'web-1', atMs: nowMs - 60_000, receivedMs: nowMs - 59_000 },
    { host: 'web-1', atMs: nowMs - 120_000, receivedMs: nowMs - 30_000 }, // out of a backlog
    { host: 'web-1', atMs: nowMs - 9 * DAY_MS, receivedMs: nowMs - 9 * DAY_MS },
    { host: 'web-2', atMs: nowMs - 20 * DAY_MS, receivedMs: nowMs - 20 * DAY_MS + 5 },
    { host: 'web-2', atMs: nowMs - 21 * DAY_MS, receivedMs: nowMs - 19 * DAY_MS },
    { host: 'gone', atMs: nowMs - 20 * DAY_MS, receivedMs: nowMs - 20 * DAY_MS },
  ];
  await engine.insert('batches', heard.length, [
    { name: 'host', type: 'String', values: heard.map(({ host }) => host) },
    { name: 'seq', type: 'UInt64', values: heard.map((_, seq) => seq) },
    { name: 'at', type: "DateTime64(3, 'UTC')", values: heard.map(({ atMs }) => atMs) },
    { name: 'received', type: "DateTime64(3, 'UTC')", values: heard.map(({ receivedMs }) => receivedMs) },
  ]);
  expect(await readHeard(engine, ['web-1', 'web-2', 'new'], nowMs)).toEqual([
    { host: 'web-1', lastMs: nowMs - 60_000, arrivedMs: nowMs - 30_000 },
    { host: 'web-2', lastMs: nowMs - 20 * DAY_MS, arrivedMs: nowMs - 19 * DAY_MS },
  ]);
});

test('migrate() twice changes nothing; it refuses the schema of a newer Muster', async () => {
  const newest = MIGRATIONS.at(-1)?.number ?? 0;
  await migrate(engine);
  await engine.insert('migrations', 1, [
    { name: 'number', type: 'UInt32', values: [newest + 1] },
    { name: 'name', type: 'String', values: ['from the future'] },
  ]);
  await expect(migrate(engine)).rejects.toThrow(
    `its schema is version ${newest + 1}, this Muster knows up to ${newest}`,
  );
});

test('migrate() refuses a store of before the first release, in which samples were rows, or none archived', async () => {
  await engine.command('RENAME TABLE archive TO away');
  await expect(migrate(engine)).rejects.toThrow('from before the first release');
  await engine.command('RENAME TABLE away TO archive');
  await engine.command('DROP VIEW samples');
  await engine.command('CREATE TABLE samples (value Float64) ENGINE = MergeTree ORDER BY tuple()');
  await expect(migrate(engine)).rejects.toThrow('from before the first release');
});
