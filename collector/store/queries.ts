import { SILENT_INTERVALS, SILENT_MS_MIN } from '@muster/proto/api';
import type { MetricKind } from '@muster/proto/metric';

import { WINDOW_MS, type StoredValue } from '../domain/samples.ts';
import type { Engine } from './store.ts';

/** Points of a series: what a chart of 600 to 1,200 pixels can show. */
export const POINTS_MAX = 600;
/** Points in time of an answer with many label sets, each of which chooses its share of them. */
const TICKS_MAX = 1200;
/** The most label sets that one answer holds. */
const SERIES_MAX = 200;
/** How long a range each tier answers: 21,600 samples of a series while watched, 4,320 else; 4,032 windows; 2,880 hours. */
const RANGE_MS_MAX = { raw: 6 * 3_600_000, '5m': 14 * 86_400_000, '1h': 120 * 86_400_000, '1d': Infinity } as const;

export type Tier = keyof typeof RANGE_MS_MAX;
const TIERS = ['raw', '5m', '1h', '1d'] as const satisfies readonly Tier[];

export type SeriesQuery = {
  readonly host: string;
  readonly metric: string;
  readonly kind: MetricKind;
  readonly fromMs: number;
  readonly toMs: number;
};

/** One label set, canonical; `tsMs` and `values` have the same length. */
export type SeriesRow = {
  readonly labels: string;
  readonly tsMs: readonly number[];
  readonly values: readonly number[];
};
export type SeriesAnswer = {
  readonly tier: Tier;
  readonly series: readonly SeriesRow[];
  readonly gaps: readonly (readonly [fromMs: number, toMs: number])[];
};

/** The tier that answers a range, the most detailed that is still quick to read. */
export function chooseTier(fromMs: number, toMs: number): Tier {
  return TIERS.find((tier) => toMs - fromMs <= RANGE_MS_MAX[tier]) ?? '1d';
}

/**
 * Reads every label set of one metric on one host. Gauges come as they are (5m: averages), counters as rates.
 *
 * Thinned out by choosing samples, so that peaks stay, not by averaging. Each label set chooses its share, and all of
 * them come at all the ticks that were chosen: what a chart stacks belongs to one instant.
 */
export async function readSeries(engine: Engine, query: SeriesQuery): Promise<SeriesAnswer> {
  const { host, metric, kind, fromMs, toMs } = query;
  const parameters = { host, metric, fromMs, toMs };
  const tier = chooseTier(await findOldest(engine, parameters), toMs);
  const source = SOURCES[tier];
  const [counted] = await engine.query(`SELECT uniqExact(labels) AS sets FROM (${source})`, parameters);
  const sets = Number(counted?.['sets'] ?? 0);
  if (sets === 0) return { tier, series: [], gaps: [] };
  const share = Math.max(3, Math.min(POINTS_MAX, Math.floor(TICKS_MAX / sets)));
  const points = `SELECT labels, t, ${kind === 'counter' ? RATE : 'gauge'} AS v FROM (${source})
    WINDOW w AS (PARTITION BY labels ORDER BY t)`;
  const rows = await engine.query(
    `WITH points AS (SELECT * FROM (${points}) WHERE isFinite(v)),
       chosen AS (SELECT arrayJoin(largestTriangleThreeBuckets(${share})(t, v)).1 FROM points GROUP BY labels)
     SELECT labels, groupArray(t) AS ticks, groupArray(v) AS values
     FROM (SELECT * FROM points WHERE t IN (chosen) ORDER BY t)
     GROUP BY labels ORDER BY labels LIMIT ${SERIES_MAX}`,
    parameters,
  );
  const gaps = await engine.query(
    `WITH distances AS (SELECT t AS b, lagInFrame(t) OVER (ORDER BY t) AS a, b - a AS d FROM (SELECT DISTINCT t FROM (${source})))
     SELECT a, b FROM distances
     WHERE a > 0 AND d > greatest(${SILENT_MS_MIN}, ${SILENT_INTERVALS} * (SELECT quantileExact(d) FROM distances WHERE a > 0))
     ORDER BY a LIMIT 1000`,
    parameters,
  );
  return {
    tier,
    series: rows.map((row) => ({
      labels: String(row['labels']),
      tsMs: readNumbers(row['ticks']),
      values: readNumbers(row['values']),
    })),
    gaps: gaps.map((row) => [Number(row['a']), Number(row['b'])] as const),
  };
}

/** Where the history of the metric begins in a range, Unix ms: a young host is not to be one point of 30 days. */
async function findOldest(engine: Engine, query: Omit<SeriesQuery, 'kind'>): Promise<number> {
  const { fromMs, toMs } = query;
  if (chooseTier(fromMs, toMs) === 'raw') return fromMs;
  for (const tier of ['1h', '5m']) {
    const [row] = await engine.query(
      `SELECT count() AS rows, toUnixTimestamp(min(ts)) AS oldestS FROM rollup_${tier} WHERE ${IN_RANGE}`,
      query,
    );
    if (Number(row?.['rows'] ?? 0) > 0) return Math.max(fromMs, 1_000 * Number(row?.['oldestS']));
  }
  return toMs; // there is nothing but what has just arrived
}

function readNumbers(value: unknown): readonly number[] {
  return Array.isArray(value) ? value.map(Number) : [];
}

const FROM = 'fromUnixTimestamp64Milli({fromMs:Int64})';
const TO = 'fromUnixTimestamp64Milli({toMs:Int64})';
const SERIES = 'metric = {metric:String} AND host = {host:String}';

/**
 * Columns labels, t (where it is drawn, Unix ms), gauge (what is drawn of a gauge), and of a counter its count and when it
 * stood there. What came twice a moment ago may be there twice until it is compacted.
 */
const RAW = `SELECT labels, toUnixTimestamp64Milli(ts) AS t, any(value) AS gauge, gauge AS count, t AS countedMs
  FROM samples
  WHERE ${SERIES} AND start > ${FROM} - INTERVAL ${WINDOW_MS / 1000} SECOND AND start < ${TO} AND ts >= ${FROM} AND ts < ${TO}
  GROUP BY labels, ts`;

const IN_RANGE = `${SERIES} AND ts >= ${FROM} AND ts < ${TO}`;

/** The windows as they were rolled up, and what has arrived since. */
const ROLLED_5M = `SELECT labels, 1000 * toUnixTimestamp(window) AS t, sum(total) / sum(n) AS gauge,
    argMax(newest, newestTs) AS count, toUnixTimestamp64Milli(max(newestTs)) AS countedMs
  FROM (
    SELECT labels, ts AS window, samples AS n, avg * samples AS total, last AS newest, lastTs AS newestTs
    FROM rollup_5m FINAL WHERE ${IN_RANGE}
    UNION ALL
    SELECT labels, start, count(), sum(value), argMax(value, ts), max(ts)
    FROM arrived_samples WHERE ${SERIES} AND start >= ${FROM} AND start < ${TO} GROUP BY labels, start
  ) GROUP BY labels, t`;

/** The periods that are rolled up, and the others from the tier below: those that are not over, and where some came late. */
function rolled(tier: '1h' | '1d', startOf: string): string {
  const due = `SELECT start FROM rollup_due FINAL
    WHERE host = {host:String} AND done = 0 AND start >= toStartOfDay(${FROM}) AND tier`;
  const isDue = tier === '1h' ? `(${due} = '1h')` : `(SELECT toStartOfDay(start) FROM (${due} IN ('1h', '1d')))`;
  return `SELECT labels, toUnixTimestamp(ts) * 1000 AS t, avg AS gauge, last AS count,
      toUnixTimestamp64Milli(lastTs) AS countedMs
    FROM rollup_${tier} FINAL WHERE ${IN_RANGE} AND ts NOT IN ${isDue}
    UNION ALL
    SELECT labels, toUnixTimestamp(${startOf}) * 1000 AS t, sum(avg * samples) / sum(samples) AS gauge,
      argMax(last, lastTs) AS count, toUnixTimestamp64Milli(max(lastTs)) AS countedMs
    FROM rollup_5m FINAL WHERE ${IN_RANGE} AND ${startOf} IN ${isDue} GROUP BY labels, t`;
}

const SOURCES: Readonly<Record<Tier, string>> = {
  raw: RAW,
  '5m': ROLLED_5M,
  '1h': rolled('1h', 'toStartOfHour(ts)'),
  '1d': rolled('1d', 'toStartOfDay(ts)'),
};

/** As `counterRise` in proto/metric.ts: over a reset there is no rate. */
const RATE = `if(lagInFrame(t) OVER w = 0 OR count < lagInFrame(count) OVER w, nan,
  (count - lagInFrame(count) OVER w) * 1000 / (countedMs - lagInFrame(countedMs) OVER w))`;

/** Of a host that has been silent for longer, only the time of its last sample is brought back. */
const RECENT_MS = 15 * 60_000;

/**
 * The newest sample of every series that is still renewed, and of a host without one the last that says when it was
 * heard: what the fleet looked like before a restart.
 */
export async function readNewest(engine: Engine, nowMs: number): Promise<readonly StoredValue[]> {
  const rows = await engine.query(
    `SELECT host, metric, labels, toUnixTimestamp64Milli(max(ts)) AS tsMs, argMax(value, ts) AS value
     FROM samples WHERE start > fromUnixTimestamp64Milli({recentMs:Int64}) - INTERVAL ${WINDOW_MS / 1000} SECOND
       AND ts >= fromUnixTimestamp64Milli({recentMs:Int64}) GROUP BY host, metric, labels
     UNION ALL
     SELECT host, metric, labels, toUnixTimestamp64Milli(max(lastTs)) AS tsMs, argMax(last, lastTs) AS value
     FROM rollup_5m WHERE metric = 'system.uptime' GROUP BY host, metric, labels`,
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
