import { mkdtemp, readdir, rm, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import type { Series } from '@muster/proto/batch';

import { makeSampleBlock } from '../ingest/columns.ts';
import { openEmbedded } from './embedded.ts';
import { insertEvents, insertSamples } from './insert.ts';
import { migrate, MIGRATIONS } from './migrations.ts';
import { chooseTier, POINTS_MAX, readNewest, readSeries } from './queries.ts';
import { joinWindows, openRollup } from './rollup.ts';
import type { Engine } from './store.ts';

let directory: string;
let engine: Engine;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-store-'));
  await mkdir(join(directory, 'incoming'));
  await writeFile(join(directory, 'incoming', '1.native'), 'left by a kill');
  engine = await openEmbedded(directory);
  await migrate(engine);
});

afterAll(async () => {
  await engine.close();
  await rm(directory, { recursive: true });
});

beforeEach(async () => {
  for (const table of ['samples', 'rollup_5m', 'rollup_windows', 'events'])
    await engine.command(`TRUNCATE TABLE muster.${table}`);
});

const DAY_MS = 86_400_000;
/** The start of a five minutes, yesterday. */
const START_MS = Math.floor(Date.now() / 300_000) * 300_000 - DAY_MS;
/** A series as `readSeries` gives it, from its points. */
function makeRow(labels: string, ...points: readonly (readonly [tsMs: number, value: number])[]) {
  return { labels, tsMs: points.map(([tsMs]) => tsMs), values: points.map(([, value]) => value) };
}

const RANGE = { host: 'web-1', metric: 'm.gauge', kind: 'gauge', rolledUntilMs: 0 } as const;

/** Puts one series of one host, a value a step. */
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
  await insertSamples(engine, makeSampleBlock([{ host: 'web-1', batch }]));
}

test.for(['{1,2}', 'a*', 'a?', '[ab]'])('openEmbedded() refuses a path with %s in it', async (name) => {
  await expect(openEmbedded(join(directory, name))).rejects.toThrow('must not hold any of');
});

test('openEmbedded() clears away blocks that a kill left', async () => {
  expect(await readdir(join(directory, 'incoming'))).toEqual([]);
});

test('insertSamples() stores text and numbers exactly, whatever the text', async () => {
  const texts = [
    "'; DROP TABLE muster.samples; --",
    'a\n\nSELECT 1',
    'zwölf €\u{1F600}',
    '\\N',
    '',
    '{x:String}',
    '\0',
  ];
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
  }));
  await insertSamples(engine, makeSampleBlock(items));
  const rows = await engine.query(
    'SELECT host, labels, groupArray(value) AS v, groupArray(toUnixTimestamp64Milli(ts)) AS t FROM (SELECT * FROM muster.samples ORDER BY ts) GROUP BY host, labels',
  );
  const byHost = new Map(rows.map((row) => [row['host'], row]));
  expect(byHost.size).toBe(texts.length);
  for (const text of texts) {
    expect(byHost.get(`host ${text}`)).toEqual({ host: `host ${text}`, labels: text, v: values, t: ticksMs });
  }
});

test('insertSamples() of a batch twice stores each sample once', async () => {
  for (let i = 0; i < 2; i += 1) await put(['m.gauge', ''], START_MS, 1000, [1, 2, 3]);
  expect(await engine.query('SELECT count() AS n FROM muster.samples FINAL')).toEqual([{ n: 3 }]);
  const answer = await readSeries(engine, { ...RANGE, fromMs: START_MS, toMs: START_MS + 10_000 });
  expect(answer.series).toEqual([makeRow('', [START_MS, 1], [START_MS + 1000, 2], [START_MS + 2000, 3])]);
});

test('insertSamples() leaves out samples that are NaN, and takes a block of nothing', async () => {
  await put(['m.gauge', ''], START_MS, 1000, [NaN, 2, NaN]);
  await put(['m.gauge', ''], START_MS, 1000, [NaN]);
  expect(await engine.query('SELECT value FROM muster.samples')).toEqual([{ value: 2 }]);
});

test('insertEvents() stores an event once', async () => {
  const event = { host: 'web-1', tsMs: START_MS, kind: 'gap', body: '{"dropped":3}' };
  await insertEvents(engine, [event]);
  await insertEvents(engine, [event]);
  expect(await engine.query('SELECT host, kind, body FROM muster.events FINAL')).toEqual([
    { host: 'web-1', kind: 'gap', body: '{"dropped":3}' },
  ]);
});

test.for([
  [5 * 60_000, 'raw'],
  [6 * 3_600_000, 'raw'],
  [6 * 3_600_000 + 1, '5m'],
  [30 * DAY_MS, '5m'],
] as const)('chooseTier() of %i ms is %s', ([rangeMs, tier]) => {
  expect(chooseTier(0, rangeMs)).toBe(tier);
});

test('readSeries() gives a counter as its rate, without one over a reset', async () => {
  await put(['m.count', 'a=1'], START_MS, 1000, [100, 110, 130, 5, 25]);
  const range = { ...RANGE, metric: 'm.count', kind: 'counter', fromMs: START_MS, toMs: START_MS + 10_000 } as const;
  const answer = await readSeries(engine, range);
  expect(answer.series).toEqual([makeRow('a=1', [START_MS + 1000, 10], [START_MS + 2000, 20], [START_MS + 4000, 20])]);
});

test('readSeries() keeps the peak when it thins a series out', async () => {
  const values = Array.from({ length: 5000 }, (_, i) => (i === 1234 ? 99 : Math.sin(i / 50)));
  await put(['m.gauge', ''], START_MS, 1000, values);
  const answer = await readSeries(engine, { ...RANGE, fromMs: START_MS, toMs: START_MS + 5_000_000 });
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
  const { series } = await readSeries(engine, { ...RANGE, fromMs: START_MS, toMs: START_MS + 3_000_000 });
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
  const answer = await readSeries(engine, { ...RANGE, fromMs: START_MS, toMs: START_MS + 100_000 });
  expect(answer.gaps).toEqual([[START_MS + 10_000, START_MS + 60_000]]);
});

test('readSeries() of a host, metric or range without samples is empty', async () => {
  expect(await readSeries(engine, { ...RANGE, host: "x'y", fromMs: START_MS, toMs: START_MS + 1 })).toEqual({
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

test('readSeries() over a long range joins the rollup and the samples that follow it', async () => {
  await putTwoHours();
  const rollup = await openTouchedRollup(12);
  const range = { fromMs: START_MS, toMs: START_MS + DAY_MS, rolledUntilMs: rollup.rolledUntilMs() };
  expect(range.rolledUntilMs).toBe(START_MS + 12 * 300_000);
  const gauge = await readSeries(engine, { ...RANGE, ...range });
  expect(gauge.tier).toBe('5m');
  const windows = Array.from({ length: 24 }, (_, i) => i).filter((i) => i < 12 || i >= 16);
  expect(gauge.series).toEqual([makeRow('', ...windows.map((i) => [START_MS + i * 300_000, i] as const))]);
  expect(gauge.gaps).toEqual([[START_MS + 11 * 300_000, START_MS + 16 * 300_000]]);
});

test('readSeries() over a long range gives the true rate in every window: rolled up, partial, after an outage', async () => {
  await putTwoHours();
  const rollup = await openTouchedRollup(20);
  const range = { fromMs: START_MS, toMs: START_MS + DAY_MS, rolledUntilMs: rollup.rolledUntilMs() };
  const { series } = await readSeries(engine, { ...RANGE, ...range, metric: 'm.count', kind: 'counter' });
  expect(series[0]?.values.map((value) => Math.round(value * 1e6) / 1e6)).toEqual(Array<number>(19).fill(10));
});

/** A rollup that has run when so many windows from the start had passed, all of them touched. */
async function openTouchedRollup(windows: number) {
  const rollup = await openRollup(engine, () => START_MS + windows * 300_000 + 60_000);
  const { release } = await rollup.hold(
    makeTickBlock(Array.from({ length: windows }, (_, i) => START_MS + i * 300_000)),
  );
  release();
  await rollup.run();
  return rollup;
}

function makeTickBlock(ticksMs: readonly number[]) {
  const values = new Float64Array(ticksMs.length);
  const batch = { epoch: 1, seq: 1, sentMs: 0, ticksMs, series: [['m.gauge', ''] as const], values };
  return makeSampleBlock([{ host: 'web-1', batch }]);
}

test('openRollup() computes a window again when late samples come', async () => {
  await put(['m.gauge', ''], START_MS, 5000, [1, 2, 3]);
  const rollup = await openTouchedRollup(1);
  const { release } = await rollup.hold(makeTickBlock([START_MS + 20_000]));
  await put(['m.gauge', ''], START_MS + 20_000, 5000, [6]);
  await rollup.run();
  expect(await engine.query('SELECT samples FROM muster.rollup_5m FINAL')).toEqual([{ samples: 3 }]);
  release();
  await rollup.run();
  const rows = await engine.query(
    'SELECT samples, min, max, avg, median, round(stddev, 6) AS stddev, last, toUnixTimestamp64Milli(lastTs) AS lastTs FROM muster.rollup_5m FINAL',
  );
  const expected = {
    samples: 4,
    min: 1,
    max: 6,
    avg: 3,
    median: 2.5,
    stddev: 1.870829,
    last: 6,
    lastTs: START_MS + 20_000,
  };
  expect(rows).toEqual([expected]);
});

test('openRollup() counts the later of two results, also when the clock was set back between them', async () => {
  const aheadMs = Date.now() + DAY_MS; // the clock of the engine is right
  for (const [value, nowMs] of [
    [1, aheadMs],
    [2, START_MS + DAY_MS / 2],
  ] as const) {
    const rollup = await openRollup(engine, () => nowMs);
    await put(['m.gauge', ''], START_MS, 5000, [value]);
    (await rollup.hold(makeTickBlock([START_MS]))).release();
    await rollup.run();
  }
  expect(
    await engine.query(
      'SELECT last, computed > fromUnixTimestamp64Milli({aheadMs:Int64}) AS isLater FROM muster.rollup_5m FINAL',
      { aheadMs },
    ),
  ).toEqual([{ last: 2, isLater: 1 }]);
});

test('openRollup() leaves the rest for later when it is to close', async () => {
  const rollup = await openRollup(engine, () => START_MS + DAY_MS);
  await put(['m.gauge', ''], START_MS, 3_600_000, [1, 2, 3]);
  (await rollup.hold(makeTickBlock([START_MS, START_MS + 3_600_000, START_MS + 7_200_000]))).release();
  const closing = new AbortController();
  const running = rollup.run(closing.signal);
  closing.abort();
  await running;
  expect(await engine.query('SELECT last FROM muster.rollup_5m FINAL')).toEqual([{ last: 1 }]);
  await rollup.run();
  expect(await engine.query('SELECT count() AS rows FROM muster.rollup_5m FINAL')).toEqual([{ rows: 3 }]);
});

test('openRollup() leaves a window alone that comes to be held while another is rolled up', async () => {
  const farMs = START_MS + 20 * 300_000;
  await put(['m.gauge', ''], START_MS, 5000, [1]);
  const rollup = await openRollup(engine, () => START_MS + DAY_MS / 2);
  (await rollup.hold(makeTickBlock([START_MS, farMs]))).release();
  const running = rollup.run();
  const { release } = await rollup.hold(makeTickBlock([farMs]));
  await running;
  await put(['m.gauge', ''], farMs, 5000, [2]);
  release();
  await rollup.run();
  expect(await engine.query('SELECT last FROM muster.rollup_5m FINAL ORDER BY ts')).toEqual([{ last: 1 }, { last: 2 }]);
});

test('openRollup() finds after a kill which windows wait, and which are done', async () => {
  await put(['m.gauge', ''], START_MS, 5000, [1]);
  await openTouchedRollup(1);
  const killed = await openRollup(engine, () => START_MS);
  await killed.hold(makeTickBlock([START_MS - 3 * 300_000]));
  await put(['m.gauge', ''], START_MS - 3 * 300_000, 5000, [7]);
  await put(['m.gauge', ''], START_MS + 10_000, 5000, [9]); // stored without a word: must not be looked for
  const after = await openRollup(engine, () => START_MS + DAY_MS);
  await after.run();
  expect(await engine.query('SELECT samples, last FROM muster.rollup_5m FINAL ORDER BY ts')).toEqual([
    { samples: 1, last: 7 },
    { samples: 1, last: 1 },
  ]);
});

const window = (i: number): number => i * 300_000;

test('joinWindows() joins windows that follow one another, an hour at most', () => {
  expect(joinWindows([0, 1, 2, 4].map(window))).toEqual([
    [window(0), window(3)],
    [window(4), window(5)],
  ]);
  expect(joinWindows(Array.from({ length: 13 }, (_, i) => window(i)))).toEqual([
    [window(0), window(12)],
    [window(12), window(13)],
  ]);
});

test('readNewest() gives the newest value of each series, and of a silent host when it was heard', async () => {
  const nowMs = START_MS + DAY_MS / 2;
  const uptime = { host: 'web-1', metric: 'system.uptime', labels: '' };
  await put(['system.uptime', ''], START_MS, 5000, [1, 2, 3]);
  expect(await readNewest(engine, 0, nowMs)).toEqual([{ ...uptime, tsMs: START_MS + 10_000, value: 3 }]);
  const rolledUntilMs = (await openTouchedRollup(1)).rolledUntilMs();
  expect(await readNewest(engine, rolledUntilMs, nowMs)).toEqual([{ ...uptime, tsMs: START_MS + 10_000, value: 3 }]);
  await put(['m.gauge', 'a=1'], nowMs - 10_000, 5000, [7, 8]);
  expect(await readNewest(engine, rolledUntilMs, nowMs)).toContainEqual({
    host: 'web-1',
    metric: 'm.gauge',
    labels: 'a=1',
    tsMs: nowMs - 5000,
    value: 8,
  });
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
