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
import { loadState } from './state.ts';
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
  for (const table of ['samples', 'rollup_5m', 'events']) await engine.command(`TRUNCATE TABLE muster.${table}`);
});

const DAY_MS = 86_400_000;
/** The start of a five minutes, yesterday. */
const START_MS = Math.floor(Date.now() / 300_000) * 300_000 - DAY_MS;
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
  expect(answer.series).toEqual([
    {
      labels: '',
      points: [
        [START_MS, 1],
        [START_MS + 1000, 2],
        [START_MS + 2000, 3],
      ],
    },
  ]);
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
  const answer = await readSeries(engine, {
    ...RANGE,
    metric: 'm.count',
    kind: 'counter',
    fromMs: START_MS,
    toMs: START_MS + 10_000,
  });
  expect(answer.series).toEqual([
    {
      labels: 'a=1',
      points: [
        [START_MS + 1000, 10],
        [START_MS + 2000, 20],
        [START_MS + 4000, 20],
      ],
    },
  ]);
});

test('readSeries() keeps the peak when it thins a series out', async () => {
  const values = Array.from({ length: 5000 }, (_, i) => (i === 1234 ? 99 : Math.sin(i / 50)));
  await put(['m.gauge', ''], START_MS, 1000, values);
  const answer = await readSeries(engine, { ...RANGE, fromMs: START_MS, toMs: START_MS + 5_000_000 });
  expect(answer.tier).toBe('raw');
  expect(answer.series[0]?.points.length).toBe(POINTS_MAX);
  expect(answer.series[0]?.points).toContainEqual([START_MS + 1_234_000, 99]);
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

test('readSeries() over a long range joins the rollup and the samples that follow it', async () => {
  const perWindow = 60;
  const values = Array.from({ length: 4 * perWindow }, (_, i) => Math.floor(i / perWindow));
  await put(['m.gauge', ''], START_MS, 5000, values);
  await put(
    ['m.count', ''],
    START_MS,
    5000,
    values.map((_, i) => i * 10),
  );
  const rollup = await openRollup(engine, () => START_MS + 2 * 300_000 + 60_000);
  await rollup.run();
  const rolledUntilMs = rollup.rolledUntilMs();
  expect(rolledUntilMs).toBe(START_MS + 2 * 300_000);
  const range = { fromMs: START_MS, toMs: START_MS + DAY_MS, rolledUntilMs };
  const gauge = await readSeries(engine, { ...RANGE, ...range });
  expect(gauge.tier).toBe('5m');
  expect(gauge.series).toEqual([{ labels: '', points: [0, 1, 2, 3].map((i) => [START_MS + i * 300_000, i]) }]);
  const count = await readSeries(engine, { ...RANGE, ...range, metric: 'm.count', kind: 'counter' });
  expect(count.series).toEqual([{ labels: '', points: [1, 2, 3].map((i) => [START_MS + i * 300_000, 2]) }]);
});

test('openRollup() computes a window again when late samples touch it', async () => {
  await put(['m.gauge', ''], START_MS, 5000, [1, 2, 3]);
  const rollup = await openRollup(engine, () => START_MS + DAY_MS / 2);
  await rollup.run();
  const late = {
    epoch: 1,
    seq: 2,
    sentMs: 0,
    ticksMs: [START_MS + 20_000],
    series: [['m.gauge', ''] as const],
    values: Float64Array.of(6),
  };
  const block = makeSampleBlock([{ host: 'web-1', batch: late }]);
  await insertSamples(engine, block);
  rollup.touch(block);
  await rollup.run();
  const rows = await engine.query(
    'SELECT samples, min, max, avg, median, round(stddev, 6) AS stddev, last FROM muster.rollup_5m FINAL',
  );
  expect(rows).toEqual([{ samples: 4, min: 1, max: 6, avg: 3, median: 2.5, stddev: 1.870829, last: 6 }]);
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
  await put(['system.uptime', ''], START_MS, 5000, [1, 2, 3]);
  const rollup = await openRollup(engine, () => nowMs);
  await rollup.run();
  expect(await readNewest(engine, nowMs)).toEqual([
    { host: 'web-1', metric: 'system.uptime', labels: '', tsMs: START_MS, value: 3 },
  ]);
  await put(['m.gauge', 'a=1'], nowMs - 10_000, 5000, [7, 8]);
  expect(await readNewest(engine, nowMs)).toContainEqual({
    host: 'web-1',
    metric: 'm.gauge',
    labels: 'a=1',
    tsMs: nowMs - 5000,
    value: 8,
  });
});

test('loadState() finds again what was put, changed and removed', async () => {
  const state = await loadState(engine, () => 1000); // a clock that stands still
  const record = {
    host: 'web-1',
    name: "O'Neil\n\n<b>",
    machine: 'a',
    enrolledMs: 5,
    inventory: { os: 'Debian', cores: 2 },
  };
  await state.hosts.put(record);
  await state.hosts.put({ ...record, name: 'web' });
  await state.hostTokens.put({ hash: 'aa', host: 'web-1', createdMs: 5 });
  await state.hostTokens.put({ hash: 'bb', host: 'web-1', createdMs: 6 });
  await state.hostTokens.remove('aa');
  const again = await loadState(engine, () => 1000);
  expect([...again.hosts.all()]).toEqual([{ ...record, name: 'web' }]);
  expect([...again.hostTokens.all()]).toEqual([{ hash: 'bb', host: 'web-1', createdMs: 6 }]);
  await again.hosts.put(record);
  expect((await loadState(engine, () => 1000)).hosts.get('web-1')).toEqual(record);
});

test('migrate() twice changes nothing; it refuses the schema of a newer Muster', async () => {
  await migrate(engine);
  await engine.insert('migrations', 1, [
    { name: 'number', type: 'UInt32', values: [MIGRATIONS.length + 1] },
    { name: 'name', type: 'String', values: ['from the future'] },
  ]);
  await expect(migrate(engine)).rejects.toThrow('its schema is version 2, this Muster knows up to 1');
});
