import { afterEach, beforeEach, expect, test } from 'vitest';

import { seededRandom, drawInteger } from '../../scripts/random.ts';
import { makeArrivalBlock } from '../ingest/columns.ts';
import { openTestStore, type TestStore } from '../test-store.ts';
import { aggregate, type AggregateOptions } from './aggregate.ts';
import { openCompaction, type Compaction } from './compaction.ts';
import { insertArrivals } from './insert.ts';
import { applyKeep } from './retention.ts';
import { openVersions, rollUpDue, type Versions } from './rollup.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const TODAY_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS;
/** So that the last of all days is over. */
const NOW_MS = TODAY_MS + HOUR_MS;
const EVERY_MS = 20 * 60_000;
const PERIOD_MS = { '5m': 300_000, '1h': HOUR_MS, '1d': DAY_MS } as const;

let store: TestStore;
let versions: Versions;
let compaction: Compaction;

beforeEach(async () => {
  store = await openTestStore();
  await applyKeep(store.engine, { raw: 40 }); // else the first of 30 days would go
  versions = await openVersions(store.engine, () => NOW_MS);
  compaction = await openCompaction(store.engine, versions);
});

afterEach(() => store.close());

/** The value of a tick of a host: whole, so that sums are exact in any order. */
function valueAt(host: string, tickMs: number): number {
  return drawInteger(seededRandom(tickMs / 1000, host.length, host.codePointAt(0) ?? 0), -1_000, 1_000);
}

type Ticks = { readonly host: string; readonly ticks: readonly number[] };

async function put(batches: readonly Ticks[]): Promise<void> {
  const items = batches.map(({ host, ticks: ticksMs }) => {
    const values = Float64Array.from(ticksMs, (tickMs) => valueAt(host, tickMs));
    const batch = { epoch: 1, seq: 1, sentMs: 0, ticksMs, series: [['m.gauge', ''] as const], values };
    return { host, batch, quarantined: 0, receivedMs: 0 };
  });
  const block = makeArrivalBlock(items);
  const { generation, release } = compaction.hold(block.samples);
  await insertArrivals(store.engine, block, generation).finally(release);
}

function listTicks(fromMs: number, toMs: number, everyMs = EVERY_MS): readonly number[] {
  return Array.from({ length: (toMs - fromMs) / everyMs }, (_, i) => fromMs + i * everyMs);
}

async function putCompacted(host: string, ticksMs: readonly number[]): Promise<void> {
  await put([{ host, ticks: ticksMs }]);
  await compaction.run();
}

const rollUp = (): Promise<void> => rollUpDue(store.engine, { versions, now: () => NOW_MS });

function run(options: Partial<AggregateOptions> = {}, onProgress: () => void = () => undefined, signal?: AbortSignal) {
  const all = { fromMs: TODAY_MS - 40 * DAY_MS, toMs: TODAY_MS, tiers: ['5m', '1h', '1d'], force: false } as const;
  return aggregate(
    store.engine,
    { ...all, rawDays: 40, versions, now: () => NOW_MS, ...options },
    { onProgress, signal: signal ?? new AbortController().signal },
  );
}

type Tier = keyof typeof PERIOD_MS;

async function readRollup(tier: Tier): Promise<readonly unknown[]> {
  const rows = await store.engine.query(
    `SELECT host, toUnixTimestamp(ts) * 1000 AS t, samples, min, max, avg, median, round(stddev, 6) AS stddev, last, toUnixTimestamp64Milli(lastTs) AS lastMs
     FROM rollup_${tier} FINAL ORDER BY host, ts`,
  );
  return rows.map((row) => Object.values(row).map((value) => (value === row['host'] ? value : Number(value))));
}

/** What a rollup is, computed from the ticks that were put by no part of what is tested. */
function computeNaive(tier: Tier, host: string, ticksMs: readonly number[]): readonly unknown[] {
  const periods = Map.groupBy(
    [...new Set(ticksMs)].toSorted((a, b) => a - b),
    (tickMs) => Math.floor(tickMs / PERIOD_MS[tier]) * PERIOD_MS[tier],
  );
  return Array.from(periods, ([startMs, ticks]) => {
    const values = ticks.map((tickMs) => valueAt(host, tickMs));
    const sorted = values.toSorted((a, b) => a - b);
    const mean = values.reduce((a, b) => a + b) / values.length;
    const middle = ((sorted[(values.length - 1) >> 1] ?? NaN) + (sorted[values.length >> 1] ?? NaN)) / 2;
    const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    const rounded = Math.round(spread * 1e6) / 1e6;
    const [min, max, last] = [sorted[0], sorted.at(-1), values.at(-1)];
    return [host, startMs, values.length, min, max, mean, middle, rounded, last, ticks.at(-1)];
  });
}

async function expectNaive(ticks: Readonly<Record<string, readonly number[]>>): Promise<void> {
  for (const tier of ['5m', '1h', '1d'] as const) {
    const naive = Object.entries(ticks).flatMap(([host, ticksMs]) => computeNaive(tier, host, ticksMs));
    expect(await readRollup(tier)).toEqual(naive);
  }
}

test('30 days that come late, out of order and twice are what a recomputation from the samples gives', async () => {
  const random = seededRandom(7);
  const fromMs = TODAY_MS - 30 * DAY_MS;
  const days = listTicks(fromMs, TODAY_MS, DAY_MS);
  const batches = ['a', 'bb'].flatMap((host) =>
    // Each day in two halves that overlap: every third tick is in both.
    days.flatMap((dayMs) => {
      const ticks = listTicks(dayMs, dayMs + DAY_MS);
      return [0, 1].map((half) => ({
        host,
        order: random(),
        ticks: ticks.filter((_, i) => i % 3 === 0 || i % 2 === half),
      }));
    }),
  );
  const arriving = batches.toSorted((one, other) => one.order - other.order);
  for (let i = 0; i < arriving.length; i += 30) {
    await put(arriving.slice(i, i + 30));
    await compaction.run();
    if (i === 60) await rollUp();
  }
  await compaction.run();
  await rollUp();
  const ticks = listTicks(fromMs, TODAY_MS);
  await expectNaive({ a: ticks, bb: ticks });
  const nothing = await run();
  expect(nothing.tiers.map(({ tier, periods, rows }) => [tier, periods, rows])).toEqual([
    ['5m', 0, 0],
    ['1h', 0, 0],
    ['1d', 0, 0],
  ]);
  const anew = await run({ force: true });
  expect(
    anew.tiers.map(({ tier, periods, hosts, series, rows, left }) => [tier, periods, hosts, series, rows, left]),
  ).toEqual([
    ['5m', 2_160, 2, 2, 2 * 2_160, 0],
    ['1h', 720, 2, 2, 2 * 720, 0],
    ['1d', 30, 2, 2, 60, 0],
  ]);
  await expectNaive({ a: ticks, bb: ticks });
}, 240_000);

test('aggregate() computes what is missing, and what is due, and nothing else', async () => {
  const fromMs = TODAY_MS - 2 * DAY_MS;
  const ticks = listTicks(fromMs, TODAY_MS);
  await putCompacted('a', ticks);
  await rollUp();
  for (const tier of ['5m', '1h', '1d'])
    await store.engine.command(`ALTER TABLE rollup_${tier} DELETE WHERE toHour(ts) = 0 SETTINGS mutations_sync = 1`);
  const report = await run();
  expect(report.tiers.map(({ periods, rows }) => [periods, rows])).toEqual([
    [6, 6],
    [2, 2],
    [2, 2],
  ]);
  await expectNaive({ a: ticks });
  const late = fromMs + HOUR_MS + 1_000;
  await putCompacted('a', [late]);
  const due = await run({ tiers: ['1h', '1d'] });
  expect(due.tiers.map(({ periods, rows }) => [periods, rows])).toEqual([
    [1, 1],
    [1, 1],
  ]);
  await expectNaive({ a: [...ticks, late] });
  const [row] = await store.engine.query('SELECT count() AS n FROM rollup_due FINAL WHERE done = 0');
  expect(row).toEqual({ n: 0 });
});

test('aggregate() with force leaves rows whose samples are gone, in part or past their time, and says how many', async () => {
  const fromMs = TODAY_MS - 4 * DAY_MS;
  const ticks = listTicks(fromMs, TODAY_MS);
  await putCompacted('a', ticks);
  await rollUp();
  const day = new Date(TODAY_MS - DAY_MS).toISOString().slice(0, 10).replaceAll('-', '');
  await store.engine.command(`ALTER TABLE chunks DROP PARTITION ${day}08`);
  // Of four days the first two are past their time, but there still; of the last, four hours are gone.
  const report = await run({ force: true, rawDays: 2, now: () => NOW_MS - HOUR_MS });
  expect(report.tiers.map(({ tier, rows, left }) => [tier, rows, left])).toEqual([
    ['5m', 3 * (48 - 4), 3 * (48 + 4)],
    ['1h', 48 - 1 - 4, 48 + 1 + 4], // the last hour is not over for long enough
    ['1d', 1, 3],
  ]);
  await expectNaive({ a: ticks });
});

test('aggregate() and samples that arrive meanwhile: the end is the same', async () => {
  const fromMs = TODAY_MS - DAY_MS;
  const ticks = listTicks(fromMs, TODAY_MS);
  await putCompacted('a', ticks);
  const late = ticks.map((tickMs) => tickMs + 60_000);
  const arriving: Promise<void>[] = [];
  await run({ force: true }, () => {
    if (arriving.length >= 4) return;
    const part = late.filter((_, i) => i % 4 === arriving.length);
    arriving.push(putCompacted('a', part).then(rollUp));
  });
  expect(arriving.length).toBe(4);
  await Promise.all(arriving);
  await rollUp();
  await expectNaive({ a: [...ticks, ...late] });
});

test('aggregate() that is cancelled ends, and the next one does the rest', async () => {
  const ticks = listTicks(TODAY_MS - DAY_MS, TODAY_MS);
  await putCompacted('a', ticks);
  const cancelling = new AbortController();
  let told = 0;
  const cancelled = run({ force: true }, () => void ((told += 1) === 3 && cancelling.abort()), cancelling.signal);
  await expect(cancelled).rejects.toThrow('abort');
  expect(told).toBe(3);
  await run();
  await expectNaive({ a: ticks });
});
