import type { MetricKind } from '@muster/proto/metric';

import type { StoredValue } from '../domain/samples.ts';
import { ROLLUP_MS } from './rollup.ts';
import { DATABASE, type Engine } from './store.ts';

/** What a chart of 600 to 1,200 pixels can show; the points are chosen, not averaged, so that peaks stay. */
export const POINTS_MAX = 600;
/** The most label sets that one answer holds. */
const SERIES_MAX = 500;
/** Up to here the samples themselves are read: 21,600 a series while watched, 4,320 else. */
const RAW_RANGE_MS_MAX = 6 * 3_600_000;

export type Tier = 'raw' | '5m';

export type SeriesQuery = {
  readonly host: string;
  readonly metric: string;
  readonly kind: MetricKind;
  readonly fromMs: number;
  readonly toMs: number;
  /** Where the five-minute rollup ends; from there on it is computed from the samples as part of the query. */
  readonly rolledUntilMs: number;
};

export type SeriesRow = {
  readonly labels: string;
  readonly points: readonly (readonly [tsMs: number, value: number])[];
};
export type SeriesAnswer = {
  readonly tier: Tier;
  readonly series: readonly SeriesRow[];
  readonly gaps: readonly (readonly [fromMs: number, toMs: number])[];
};

/** The table that answers a range, the most detailed that is still quick to read. */
export function chooseTier(fromMs: number, toMs: number): Tier {
  return toMs - fromMs <= RAW_RANGE_MS_MAX ? 'raw' : '5m';
}

/** Reads every label set of one metric on one host. Gauges come as they are (5m: averages), counters as rates. */
export async function readSeries(engine: Engine, query: SeriesQuery): Promise<SeriesAnswer> {
  const tier = chooseTier(query.fromMs, query.toMs);
  const { host, metric, fromMs, toMs, rolledUntilMs } = query;
  const parameters = { host, metric, fromMs, toMs, rolledUntilMs };
  const source = tier === 'raw' ? RAW : ROLLED;
  const rows = await engine.query(
    `SELECT labels, largestTriangleThreeBuckets(${POINTS_MAX})(t, v) AS points
     FROM (SELECT labels, t, ${query.kind === 'counter' ? RATE : 'gauge'} AS v FROM (${source}) WINDOW w AS (PARTITION BY labels ORDER BY t))
     WHERE isFinite(v) GROUP BY labels ORDER BY labels LIMIT ${SERIES_MAX}`,
    parameters,
  );
  const gaps = await engine.query(gapsSql(source, tier), parameters);
  return {
    tier,
    series: rows.map((row) => ({ labels: String(row['labels']), points: row['points'] as SeriesRow['points'] })),
    gaps: gaps.map((row) => [Number(row['a']), Number(row['b'])] as const),
  };
}

const WHERE = `metric = {metric:String} AND host = {host:String}
  AND ts >= fromUnixTimestamp64Milli({fromMs:Int64}) AND ts < fromUnixTimestamp64Milli({toMs:Int64})`;
const SEAM = 'fromUnixTimestamp64Milli({rolledUntilMs:Int64})';

/** Columns labels, t (Unix ms), gauge (what is drawn of a gauge), count (what a counter's rate is made of). */
const RAW = `SELECT labels, toUnixTimestamp64Milli(ts) AS t, value AS gauge, value AS count
  FROM ${DATABASE}.samples FINAL WHERE ${WHERE}`;

/** The rollup as far as it goes, then the same computed from the samples. */
const ROLLED = `SELECT labels, toUnixTimestamp64Milli(ts) AS t, avg AS gauge, last AS count
  FROM ${DATABASE}.rollup_5m FINAL WHERE ${WHERE} AND ts < ${SEAM}
  UNION ALL
  SELECT labels, intDiv(toUnixTimestamp64Milli(ts), ${ROLLUP_MS}) * ${ROLLUP_MS} AS t, avg(value) AS gauge, argMax(value, ts) AS count
  FROM ${DATABASE}.samples FINAL WHERE ${WHERE} AND ts >= ${SEAM} GROUP BY labels, t`;

/** A counter that fell was reset: what it counted in between is not known, so there is no rate (proto/metric.ts). */
const RATE = `if(lagInFrame(t) OVER w = 0 OR count < lagInFrame(count) OVER w, nan,
  (count - lagInFrame(count) OVER w) * 1000 / (t - lagInFrame(t) OVER w))`;

/** Where more than three intervals, and 15 s, lie between two ticks. The interval is the median distance. */
function gapsSql(source: string, tier: Tier): string {
  const distances = `SELECT t AS b, lagInFrame(t) OVER (ORDER BY t) AS a, b - a AS d FROM (SELECT DISTINCT t FROM (${source}))`;
  const floorMs = tier === 'raw' ? 15_000 : 2 * ROLLUP_MS;
  return `WITH distances AS (SELECT * FROM (${distances}) WHERE a > 0)
    SELECT a, b FROM distances WHERE d > greatest(${floorMs}, 3 * (SELECT quantileExact(d) FROM distances))
    ORDER BY a LIMIT 1000`;
}

/** Of a host that has been silent for longer, only the time of its last sample is brought back. */
const RECENT_MS = 15 * 60_000;

/**
 * The newest sample of every series that is still renewed, and of a host without one the last that says when it was
 * heard: what the fleet looked like before a restart.
 */
export async function readNewest(engine: Engine, nowMs: number): Promise<readonly StoredValue[]> {
  const rows = await engine.query(
    `SELECT host, metric, labels, toUnixTimestamp64Milli(max(ts)) AS tsMs, argMax(value, ts) AS value
     FROM ${DATABASE}.samples WHERE ts >= fromUnixTimestamp64Milli({recentMs:Int64}) GROUP BY host, metric, labels
     UNION ALL
     SELECT host, metric, labels, toUnixTimestamp64Milli(max(ts)) AS tsMs, argMax(last, ts) AS value
     FROM ${DATABASE}.rollup_5m WHERE metric = 'system.uptime' GROUP BY host, metric, labels
     ORDER BY tsMs`,
    { recentMs: nowMs - RECENT_MS },
  );
  return rows.map((row) => ({
    host: String(row['host']),
    metric: String(row['metric']),
    labels: String(row['labels']),
    tsMs: Number(row['tsMs']),
    value: Number(row['value']),
  }));
}
