import { SILENT_INTERVALS, SILENT_MS_MIN, type TierUsed } from '@muster/proto/api';
import type { MetricKind } from '@muster/proto/metric';

import { HISTORY_DAYS_MAX, WINDOW_MS } from '../domain/samples.ts';
import { type Tier, TIERS } from '../domain/keep.ts';
import { chooseSegments, type Kept, PERIOD_MS, readHeld } from './seams.ts';
import type { Engine, QueryParameters } from './store.ts';

const DAY_MS = 86_400_000;

/** Points of a series: what a chart of 600 to 1,200 pixels can show. */
export const POINTS_MAX = 600;
/** Points in time of an answer with many label sets, each of which chooses its share of them. */
const TICKS_MAX = 1200;
/** The most label sets that one answer holds. */
const SERIES_MAX = 200;
/** How long a range each tier answers: 21,600 samples of a series while watched, 4,320 else; 4,032 windows; 2,880 hours. */
const RANGE_MS_MAX: Readonly<Record<Tier, number>> = {
  raw: 6 * 3_600_000,
  '5m': 14 * DAY_MS,
  '1h': 120 * DAY_MS,
  '1d': Infinity,
};

export type SeriesQuery = {
  readonly host: string;
  readonly metric: string;
  readonly kind: MetricKind;
  readonly fromMs: number;
  readonly toMs: number;
  /** How far apart points need to be; without it as the range suggests. */
  readonly stepMs?: number;
};

/** One label set, canonical; `tsMs` and `values` have the same length. */
export type SeriesRow = {
  readonly labels: string;
  readonly tsMs: readonly number[];
  readonly values: readonly number[];
};
export type SeriesAnswer = {
  /** What answered, from which instant on, the oldest part first; each of them is the most detailed that is still kept. */
  readonly tiers: readonly TierUsed[];
  readonly series: readonly SeriesRow[];
  readonly gaps: readonly (readonly [fromMs: number, toMs: number])[];
};

/** The tier that answers a range, the most detailed that is quick to read and no finer than the step. */
export function chooseTier(fromMs: number, toMs: number, stepMs = 0): Tier {
  return (
    TIERS.find((tier, i) => {
      const coarser = TIERS[i + 1];
      const isFiner = coarser !== undefined && PERIOD_MS[coarser] <= stepMs;
      return toMs - fromMs <= RANGE_MS_MAX[tier] && !isFiner;
    }) ?? '1d'
  );
}

/**
 * Reads every label set of one metric on one host. Gauges come as they are (5m: averages), counters as rates.
 *
 * Thinned out by choosing samples, so that peaks stay, not by averaging. Each label set chooses its share, and all of
 * them come at all the ticks that were chosen: what a chart stacks belongs to one instant.
 */
export async function readSeries(engine: Engine, query: SeriesQuery, kept: Kept): Promise<SeriesAnswer> {
  const { host, metric, kind, fromMs, toMs, stepMs } = query;
  const oldestMs = await findOldest(engine, { host, metric, fromMs, toMs });
  const tier = chooseTier(oldestMs, toMs, stepMs);
  const { held, isTold } = await readHeld(engine, kept);
  const segments = chooseSegments(tier, { fromMs, toMs }, held);
  const tiers = segments.map((one) => ({ tier: one.tier, fromMs: one.fromMs, stepMs: PERIOD_MS[one.tier] }));
  // A point stands for the time from it on: that in which the range begins is drawn. And the one before is read, of which
  // the rate of a counter is told; where it is kept no more, that of a coarser tier.
  const periodMs = PERIOD_MS[segments[0].tier];
  const beforeMs = fromMs - Math.max(1, periodMs);
  const parts = periodMs === 0 ? segments : chooseSegments(tier, { fromMs: fromMs - periodMs, toMs }, held);
  const source = parts
    .map((part, i) => SOURCES[part.tier]({ from: `from${i}`, to: `to${i}`, segment: i, isTold }))
    .join(' UNION ALL ');
  const bounds = parts.flatMap((part, i) => [
    [`from${i}`, i === 0 ? part.fromMs + 1 - Math.max(1, PERIOD_MS[part.tier]) : part.fromMs] as const,
    [`to${i}`, part.toMs] as const,
  ]);
  const parameters = { host, metric, beforeMs, ...Object.fromEntries(bounds) };
  const [counted] = await engine.query(`SELECT uniqExact(labels) AS sets FROM (${source})`, parameters);
  const sets = Number(counted?.['sets'] ?? 0);
  if (sets === 0) return { tiers, series: [], gaps: [] };
  const pointsMax = stepMs === undefined ? POINTS_MAX : Math.min(POINTS_MAX, Math.ceil((toMs - fromMs) / stepMs));
  const share = Math.max(3, Math.min(pointsMax, Math.floor(TICKS_MAX / sets)));
  const points = `SELECT labels, t, ${kind === 'counter' ? RATE : 'gauge'} AS v FROM (${source})
    WINDOW w AS (PARTITION BY labels ORDER BY t)`;
  const rows = await engine.query(
    `WITH points AS (SELECT * FROM (${points}) WHERE isFinite(v) AND ${IS_DRAWN}),
       chosen AS (SELECT arrayJoin(largestTriangleThreeBuckets(${share})(t, v)).1 FROM points GROUP BY labels)
     SELECT labels, groupArray(t) AS ticks, groupArray(v) AS values
     FROM (SELECT * FROM points WHERE t IN (chosen) ORDER BY t)
     GROUP BY labels ORDER BY labels LIMIT ${SERIES_MAX}`,
    parameters,
  );
  return {
    tiers,
    series: rows.map((row) => ({
      labels: String(row['labels']),
      tsMs: readNumbers(row['ticks']),
      values: readNumbers(row['values']),
    })),
    gaps: await readGaps(engine, source, parameters),
  };
}

const IS_DRAWN = 't > {beforeMs:Int64}';

/** Points are as far apart as they are in most places of the tier that they are of. */
async function readGaps(engine: Engine, source: string, parameters: QueryParameters): Promise<SeriesAnswer['gaps']> {
  const gaps = await engine.query(
    `WITH distances AS (
         SELECT t AS b, lagInFrame(t) OVER w AS a, b - a AS d, lagInFrame(segment) OVER w AS part
         FROM (SELECT DISTINCT t, segment FROM (${source}) WHERE ${IS_DRAWN}) WINDOW w AS (ORDER BY t)),
       usual AS (SELECT part, quantileExact(d) AS middle FROM distances WHERE a > 0 GROUP BY part)
     SELECT a, b FROM distances LEFT JOIN usual USING (part)
     WHERE a > 0 AND d > greatest(${SILENT_MS_MIN}, ${SILENT_INTERVALS} * middle)
     ORDER BY a LIMIT 1000`,
    parameters,
  );
  return gaps.map((row) => [Number(row['a']), Number(row['b'])] as const);
}

/** Where the history of the metric begins in a range, Unix ms: a young host is not to be one point of 30 days. */
async function findOldest(engine: Engine, query: Omit<SeriesQuery, 'kind' | 'stepMs'>): Promise<number> {
  const { fromMs, toMs } = query;
  if (chooseTier(fromMs, toMs) === 'raw') return fromMs;
  for (const tier of ['1h', '5m']) {
    const [row] = await engine.query(
      `SELECT count() AS rows, toUnixTimestamp(min(ts)) AS oldestS FROM rollup_${tier} WHERE ${SERIES} AND ${isWithin('ts', 'fromMs', 'toMs')}`,
      query,
    );
    if (Number(row?.['rows'] ?? 0) > 0) return Math.max(fromMs, 1_000 * Number(row?.['oldestS']));
  }
  return toMs; // there is nothing but what has just arrived
}

function readNumbers(value: unknown): readonly number[] {
  return Array.isArray(value) ? value.map(Number) : [];
}

const SERIES = 'metric = {metric:String} AND host = {host:String}';

/** An instant that a parameter of this name holds. */
function at(name: string): string {
  return `fromUnixTimestamp64Milli({${name}:Int64})`;
}

/** A time of whole seconds as Unix ms, of the type that those of samples have: with another the engine sorts no union. */
function inMs(seconds: string): string {
  return `1000 * toInt64(toUnixTimestamp(${seconds}))`;
}

function isWithin(column: string, from: string, to: string): string {
  return `${column} >= ${at(from)} AND ${column} < ${at(to)}`;
}

/**
 * What a tier has between the instants of two parameters: columns labels, t (where it is drawn, Unix ms), gauge (what is
 * drawn of a gauge), of a counter its count and when it stood there, and the segment that it is of.
 */
type Source = (place: Place) => string;
/** `isTold`: the past of some host was told, and is read too. */
type Place = { readonly from: string; readonly to: string; readonly segment: number; readonly isTold: boolean };

/** What was told of the past: one tick in five minutes at most. A row of it holds the ticks of some days. */
const selectTold = ({ from, to }: Place): string => `SELECT labels, ts, value FROM (
    SELECT labels, fromUnixTimestamp64Milli(1000 * toUnixTimestamp(ts) + offsetMs, 'UTC') AS ts, value
    FROM (
      SELECT labels, ts, offsetsMs, values FROM history FINAL
      WHERE ${SERIES} AND ts >= ${at(from)} - INTERVAL ${HISTORY_DAYS_MAX} DAY AND ts < ${at(to)}
    ) ARRAY JOIN offsetsMs AS offsetMs, values AS value
  ) WHERE ${isWithin('ts', from, to)}`;

/** What came twice a moment ago may be there twice until it is compacted. */
const readRaw: Source = (place) => {
  const { from, to, segment, isTold } = place;
  return `SELECT labels, toUnixTimestamp64Milli(ts) AS t, any(value) AS gauge, gauge AS count, t AS countedMs,
      ${segment} AS segment
    FROM (
      SELECT labels, ts, value FROM samples
      WHERE ${SERIES} AND start > ${at(from)} - INTERVAL ${WINDOW_MS / 1000} SECOND AND start < ${at(to)} AND ${isWithin('ts', from, to)}
      ${isTold ? `UNION ALL ${selectTold(place)}` : ''}
    ) GROUP BY labels, ts`;
};

/** The windows as they were rolled up, or told. */
function selectWindows(place: Place): string {
  const told = `UNION ALL SELECT labels, toStartOfFiveMinutes(ts), 1, value, value, ts FROM (${selectTold(place)})`;
  return `SELECT labels, ts AS window, samples AS n, avg * samples AS total, last AS newest, lastTs AS newestTs
    FROM rollup_5m FINAL WHERE ${SERIES} AND ${isWithin('ts', place.from, place.to)} ${place.isTold ? told : ''}`;
}

/** And what has arrived since. */
const read5m: Source = (place) => `SELECT labels, ${inMs('window')} AS t, sum(total) / sum(n) AS gauge,
    argMax(newest, newestTs) AS count, toUnixTimestamp64Milli(max(newestTs)) AS countedMs, ${place.segment} AS segment
  FROM (
    ${selectWindows(place)}
    UNION ALL
    SELECT labels, start, count(), sum(value), argMax(value, ts), max(ts)
    FROM arrived_samples WHERE ${SERIES} AND ${isWithin('start', place.from, place.to)} GROUP BY labels, start
  ) GROUP BY labels, t`;

/** The periods that are rolled up, and the others from the tier below: those that are not over, and where some came late. */
function rolled(tier: '1h' | '1d', startOf: string): Source {
  return (place) => {
    const { from, to, segment } = place;
    const due = `SELECT start FROM rollup_due FINAL
      WHERE host = {host:String} AND done = 0 AND start >= toStartOfDay(${at(from)}) AND tier`;
    const isDue = tier === '1h' ? `(${due} = '1h')` : `(SELECT toStartOfDay(start) FROM (${due} IN ('1h', '1d')))`;
    return `SELECT labels, ${inMs('ts')} AS t, avg AS gauge, last AS count,
        toUnixTimestamp64Milli(lastTs) AS countedMs, ${segment} AS segment
      FROM rollup_${tier} FINAL WHERE ${SERIES} AND ${isWithin('ts', from, to)} AND ts NOT IN ${isDue}
      UNION ALL
      SELECT labels, ${inMs(startOf)} AS t, sum(total) / sum(n) AS gauge,
        argMax(newest, newestTs) AS count, toUnixTimestamp64Milli(max(newestTs)) AS countedMs, ${segment} AS segment
      FROM (${selectWindows(place)}) WHERE ${startOf} IN ${isDue} GROUP BY labels, t`;
  };
}

const SOURCES: Readonly<Record<Tier, Source>> = {
  raw: readRaw,
  '5m': read5m,
  '1h': rolled('1h', 'toStartOfHour(window)'),
  '1d': rolled('1d', 'toStartOfDay(window)'),
};

/** As `counterRise` in proto/metric.ts: over a reset there is no rate. */
const RATE = `if(lagInFrame(t) OVER w = 0 OR count < lagInFrame(count) OVER w, nan,
  (count - lagInFrame(count) OVER w) * 1000 / (countedMs - lagInFrame(countedMs) OVER w))`;
