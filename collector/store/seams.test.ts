import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { KEEP_DEFAULT, TIERS } from '../domain/keep.ts';
import { makeArrivalBlock } from '../ingest/columns.ts';
import { openTestStore, type TestStore } from '../test-store.ts';
import { openCompaction } from './compaction.ts';
import { insertArrivals } from './insert.ts';
import { readSeries } from './queries.ts';
import { applyKeep } from './retention.ts';
import { openVersions, rollUpDue } from './rollup.ts';
import { chooseSegments, PERIOD_MS, type Held, type Kept } from './seams.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** The start of a day; what follows is told in days from there. */
const FIRST_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS - 20 * DAY_MS;
const day = (days: number): number => FIRST_MS + days * DAY_MS;
const held = ([raw, fives, hours, days]: readonly [number, number, number, number]): Held => ({
  raw: day(raw),
  '5m': day(fives),
  '1h': day(hours),
  '1d': day(days),
});

test.for([
  // the tier, the range and what is held in days; the tiers that answer, and where they meet
  ['raw', [8, 9], [5, 3, 0, 0], ['raw']],
  ['raw', [5, 9], [5, 3, 0, 0], ['raw']],
  ['raw', [4, 9], [5, 3, 0, 0], ['5m', 5, 'raw']],
  ['raw', [3.5, 4], [5, 3, 0, 0], ['5m']],
  ['raw', [1, 9], [5, 3, 0, 0], ['1h', 3, '5m', 5, 'raw']],
  ['raw', [1, 2], [5, 3, 0, 0], ['1h']],
  ['5m', [1, 9], [5, 3, 0, 0], ['1h', 3, '5m']],
  ['5m', [1, 9], [5, 3, 3, 0], ['1d', 3, '5m']],
  ['raw', [-5, 9], [5, 3, 1, 0], ['1d', 1, '1h', 3, '5m', 5, 'raw']],
  ['raw', [-5, 9], [0, 0, 0, 0], ['raw']],
  ['raw', [-5, 9], [Infinity, 0, 0, 0], ['5m']],
  ['raw', [1, 9], [Infinity, Infinity, Infinity, Infinity], ['raw']],
  ['1d', [1, 9], [5, 3, 0, 2], ['1d']],
] as const)('chooseSegments() of %s over days %o where %o is held is %o', ([tier, [from, to], kept, expected]) => {
  const range = { fromMs: day(from), toMs: day(to) };
  const segments = chooseSegments(tier, range, held(kept));
  const seams = segments.flatMap((one, i) => (i === 0 ? [one.tier] : [(one.fromMs - FIRST_MS) / DAY_MS, one.tier]));
  expect(seams).toEqual(expected);
  expect([segments[0].fromMs, segments.at(-1)?.toMs]).toEqual([range.fromMs, range.toMs]);
  for (const [i, { fromMs }] of segments.slice(1).entries()) expect(segments[i]?.toMs).toBe(fromMs);
});

// One store of ten days, of which the oldest are no longer there in detail, and everything that was ever sent.

const EVERY_MS = 7 * 60_000;
const DAYS = 10;
const SEAM_DAYS: Kept['keep'] = { raw: 7, '5m': 5, '1h': 2, '1d': 0 };

type Sample = { readonly tsMs: number; readonly gauge: number; readonly count: number };

/** A walk, and a counter that is reset now and then; an outage in between. */
const SAMPLES: readonly Sample[] = makeSamples();
let store: TestStore;

function makeSamples(): readonly Sample[] {
  const samples: Sample[] = [];
  let count = 1e6;
  for (let tsMs = FIRST_MS + 1_000; tsMs < day(DAYS); tsMs += EVERY_MS) {
    const i = samples.length;
    count = i % 500 === 499 ? i : count + ((i * 7_919) % 1_000);
    samples.push({ tsMs, gauge: ((i * 104_729) % 2_003) / 10, count });
  }
  const isOut = (tsMs: number): boolean => tsMs >= day(5) - 5 * HOUR_MS && tsMs < day(5) + 2 * HOUR_MS;
  return samples.filter(({ tsMs }) => !isOut(tsMs));
}

beforeAll(async () => {
  store = await openTestStore();
  const { engine } = store;
  await applyKeep(engine, { raw: 40 });
  const versions = await openVersions(engine, Date.now);
  const compaction = await openCompaction(engine, versions);
  const { generation, release } = compaction.hold(SAMPLES.length);
  const batch = {
    epoch: 1,
    seq: 1,
    sentMs: 0,
    ticksMs: SAMPLES.map(({ tsMs }) => tsMs),
    series: [['m.gauge', ''] as const, ['m.count', ''] as const],
    values: Float64Array.from([...SAMPLES.map(({ gauge }) => gauge), ...SAMPLES.map(({ count }) => count)]),
  };
  await insertArrivals(
    engine,
    makeArrivalBlock([{ host: 'web-1', batch, quarantined: 0, receivedMs: 0 }]),
    generation,
  ).finally(release);
  await compaction.run();
  await rollUpDue(engine, { versions, now: () => day(DAYS + 2) });
  for (const [table, column, days] of [
    ['chunks', 'start', SEAM_DAYS.raw],
    ['rollup_5m', 'ts', SEAM_DAYS['5m']],
    ['rollup_1h', 'ts', SEAM_DAYS['1h']],
  ] as const)
    await engine.command(
      `ALTER TABLE ${table} DELETE WHERE ${column} < toDateTime(${day(days) / 1000}) SETTINGS mutations_sync = 1`,
    );
}, 60_000);

afterAll(() => store.close());

/** What is drawn in a stretch of one tier, and the count at the end of each period, computed from all samples. */
function computePoints(tier: keyof typeof PERIOD_MS, fromMs: number, toMs: number) {
  const periodMs = PERIOD_MS[tier];
  if (periodMs === 0)
    return SAMPLES.filter(({ tsMs }) => tsMs >= fromMs && tsMs < toMs).map(({ tsMs, gauge, count }) => ({
      tsMs,
      gauge,
      count,
      t: tsMs,
    }));
  const periods = Map.groupBy(SAMPLES, ({ tsMs }) => Math.floor(tsMs / periodMs) * periodMs);
  return [...periods]
    .filter(([t]) => t > fromMs - periodMs && t < toMs)
    .map(([t, ones]) => ({
      t,
      gauge: ones.reduce((sum, { gauge }) => sum + gauge, 0) / ones.length,
      count: ones.at(-1)?.count ?? NaN,
      tsMs: ones.at(-1)?.tsMs ?? NaN,
    }));
}

type Wanted = { readonly fromMs: number; readonly toMs: number; readonly stepMs?: number };

/** As `readSeries` should answer, by tiers as it says that it used. */
function computeNaive({ toMs }: Wanted, tiers: Awaited<ReturnType<typeof readSeries>>['tiers']) {
  const read = (isLong: boolean) =>
    tiers.flatMap(({ tier, fromMs: sinceMs, stepMs }, i) =>
      computePoints(
        TIERS.find((one) => one === tier) ?? 'raw',
        i === 0 && isLong ? sinceMs - stepMs : i === 0 ? sinceMs : sinceMs + Math.max(0, stepMs - 1),
        tiers[i + 1]?.fromMs ?? toMs,
      ),
    );
  const gauges = read(false);
  const longer = read(true);
  const [first] = gauges;
  const rates = longer.flatMap((point, i) => {
    const before = longer[i - 1];
    const isRate = before !== undefined && point.count >= before.count && first !== undefined && point.t >= first.t;
    return isRate ? [[point.t, ((point.count - before.count) * 1000) / (point.tsMs - before.tsMs)] as const] : [];
  });
  return { gauges: gauges.map(({ t, gauge }) => [t, gauge] as const), rates };
}

function round(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  return points.map(([t, value]) => [t, Number(value.toPrecision(9))]);
}

test('readSeries() of any range is what all samples say, at the detail that is kept: no hole, nothing twice, no false rate', async () => {
  const instant = fc
    .integer({ min: -1 * 24 * 60, max: (DAYS + 1) * 24 * 60 })
    .map((minutes) => FIRST_MS + minutes * 60_000);
  const aligned = fc.integer({ min: 0, max: DAYS }).map(day);
  const step = fc.option(fc.constantFrom(60_000, 300_000, HOUR_MS, 5 * HOUR_MS, DAY_MS), { nil: undefined });
  const rangeMs = fc.constantFrom(20 * 60_000, HOUR_MS, 5 * HOUR_MS, DAY_MS, 36 * HOUR_MS);
  const keep = { raw: 40, '5m': 90, '1h': 365, '1d': 365 };
  await fc.assert(
    fc.asyncProperty(fc.oneof(instant, aligned), rangeMs, step, async (fromMs, lengthMs, stepMs) => {
      const wanted = { fromMs, toMs: fromMs + lengthMs, ...(stepMs === undefined ? {} : { stepMs }) };
      const query = { host: 'web-1', ...wanted };
      const kept = { keep, nowMs: day(DAYS + 2) };
      // Few enough points that none is thinned out but where a step says so.
      const gauge = await readSeries(store.engine, { ...query, metric: 'm.gauge', kind: 'gauge' }, kept);
      const counter = await readSeries(store.engine, { ...query, metric: 'm.count', kind: 'counter' }, kept);
      const naive = computeNaive(wanted, gauge.tiers);
      const read = ({ series: [one] }: typeof gauge) =>
        round(one?.tsMs.map((t, i) => [t, one.values[i] ?? NaN] as const) ?? []);
      expect(counter.tiers).toEqual(gauge.tiers);
      const pointsMax = stepMs === undefined ? Infinity : Math.max(3, Math.ceil(lengthMs / stepMs));
      for (const [drawn, all] of [
        [read(gauge), round(naive.gauges)],
        [read(counter), round(naive.rates)],
      ] as const) {
        const ticks = new Set(drawn.map(([t]) => t));
        expect(drawn).toEqual(all.filter(([t]) => ticks.has(t)));
        expect(drawn.length).toBe(Math.min(all.length, pointsMax));
      }
      for (const rate of counter.series[0]?.values ?? []) {
        expect(rate).toBeGreaterThanOrEqual(0);
        expect(rate).toBeLessThan(1_000 / (EVERY_MS / 1000) + 1e-6);
      }
    }),
    { numRuns: 60 },
  );
}, 120_000);

test.for([
  // an hour of so many days, aligned or not; the tier
  [9.5, 'raw'],
  [6.51, '5m'],
  [3.503, '1h'],
  [1.507, '1d'],
] as const)('an hour of day %d is answered by %s, with a point of a counter too', async ([days, tier]) => {
  const fromMs = Math.round(day(days));
  const kept = { keep: { ...KEEP_DEFAULT, raw: 40 }, nowMs: day(DAYS + 2) };
  const query = { host: 'web-1', fromMs, toMs: fromMs + HOUR_MS } as const;
  const gauge = await readSeries(store.engine, { ...query, metric: 'm.gauge', kind: 'gauge' }, kept);
  const counter = await readSeries(store.engine, { ...query, metric: 'm.count', kind: 'counter' }, kept);
  for (const { tiers, series, gaps } of [gauge, counter]) {
    expect(tiers).toEqual([{ tier, fromMs, stepMs: PERIOD_MS[tier] }]);
    expect(series[0]?.values.length).toBeGreaterThan(0);
    expect(gaps).toEqual([]);
  }
});

test.for([
  [SEAM_DAYS.raw, 3, '5m', 'raw'],
  [SEAM_DAYS['5m'], 8, '1h', '5m'],
  [SEAM_DAYS['1h'], 8, '1d', '1h'],
] as const)(
  'a range over the start of day %d, %i hours to each side, is answered by %s and %s',
  async ([days, hours, before, after]) => {
    const kept = { keep: { ...KEEP_DEFAULT, raw: 40 }, nowMs: day(DAYS + 2) };
    const range = { host: 'web-1', fromMs: day(days) - hours * HOUR_MS, toMs: day(days) + hours * HOUR_MS };
    for (const query of [
      { ...range, metric: 'm.gauge', kind: 'gauge' },
      { ...range, metric: 'm.count', kind: 'counter' },
    ] as const) {
      const { tiers, series } = await readSeries(store.engine, query, kept);
      expect(tiers.map(({ tier }) => tier)).toEqual([before, after]);
      expect(series[0]?.tsMs.at(0)).toBeLessThan(day(days));
      expect(series[0]?.tsMs.at(-1)).toBeGreaterThanOrEqual(day(days));
    }
  },
);

test('an outage at a seam is a gap, and the step from one tier to the next is none', async () => {
  const kept = { keep: { ...KEEP_DEFAULT, raw: 40 }, nowMs: day(DAYS + 2) };
  const query = { host: 'web-1', metric: 'm.gauge', kind: 'gauge' } as const;
  const over = await readSeries(store.engine, { ...query, fromMs: day(4), toMs: day(6) }, kept);
  expect(over.tiers.map(({ tier }) => tier)).toEqual(['1h', '5m']);
  expect(over.gaps).toEqual([[day(5) - 6 * HOUR_MS, expect.any(Number)]]);
  const whole = await readSeries(store.engine, { ...query, fromMs: day(1), toMs: day(4) }, kept);
  expect(whole.tiers.map(({ tier }) => tier)).toEqual(['1d', '1h']);
  expect(whole.gaps).toEqual([]);
});
