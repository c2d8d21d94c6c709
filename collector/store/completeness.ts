import type { Completeness, HourCompleteness, Silence } from '@muster/proto/api';
import { isRecord } from '@muster/proto/record';

import type { Engine } from './store.ts';

const HOUR_MS = 3_600_000;
/** The most silences that one answer names; the figures count all of them. */
const SILENCES_MAX = 100;

const HOST = `host = {host:String}`;
const FROM = 'fromUnixTimestamp64Milli({fromMs:Int64})';
const TO = 'fromUnixTimestamp64Milli({toMs:Int64})';

const IN_RANGE = `at >= ${FROM} AND at < ${TO}`;

/** Those that are compacted and those that are not, some of them twice for a moment. */
function batches(columns: string, where: string): string {
  return ['batches', 'arrived_batches']
    .map((table) => `SELECT ${columns} FROM ${table} WHERE ${HOST} AND ${where}`)
    .join(' UNION ALL ');
}

/** The distinct ticks of a host in a range, each with the longest interval under which it came. */
const TICKS = `SELECT toUnixTimestamp64Milli(tick) AS tickMs, toInt64(max(every)) AS every
  FROM (SELECT arrayJoin(ticks) AS tick, everyMs AS every FROM (${batches('ticks, everyMs', `at >= ${FROM}`)}))
  WHERE tick >= ${FROM} AND tick < ${TO} GROUP BY tick`;

/**
 * Two ticks that follow one another with others missing between them. The missing ones lie `step` apart, the longer of
 * the two ticks' intervals, so that a change from 5 s to 1 s and back leaves none missing. Without an interval on either
 * side nothing is known to be missing.
 */
const SILENCES = `SELECT fromMs, toMs, step, intDiv(toMs - fromMs, step) - 1 AS missing
  FROM (SELECT tickMs AS toMs, lagInFrame(tickMs) OVER w AS fromMs, greatest(every, lagInFrame(every) OVER w) AS step,
    row_number() OVER w AS place FROM (${TICKS}) WINDOW w AS (ORDER BY tickMs))
  WHERE place > 1 AND step > 0 AND toMs - fromMs >= 2 * step`;

/** How many of the missing ticks of a silence lie before an instant: the k-th at `fromMs + k * step`. */
function missingBefore(instant: string): string {
  return `least(missing, greatest(0, intDiv(${instant} - fromMs - 1, step)))`;
}

const MISSING = `SELECT hour, ${missingBefore(`hour + ${HOUR_MS}`)} - ${missingBefore('hour')} AS missing
  FROM (SELECT *, arrayJoin(range(intDiv(fromMs, ${HOUR_MS}), intDiv(toMs, ${HOUR_MS}) + 1)) * ${HOUR_MS} AS hour
    FROM (${SILENCES}))`;

/** The distinct records, each in the hour of the newest tick of the batch that brought it, the first of several. */
const RECORDS = `SELECT epoch, record, min(hour) AS hour
  FROM (SELECT epoch, arrayJoin(range(since, seq + 1)) AS record, ${hourOf('at')} AS hour
    FROM (${batches('epoch, seq, since, at', IN_RANGE)}))
  GROUP BY epoch, record`;

/** As floats: numbers are exact up to 2^53, and their distances in many spools must not add up to more than a type holds. */
const RECORDS_CHAINED = `SELECT hour,
    if(row_number() OVER w = 1, 0, toFloat64(record) - toFloat64(lagInFrame(record) OVER w) - 1) AS skipped
  FROM (${RECORDS}) WINDOW w AS (PARTITION BY epoch ORDER BY record)`;

/** A gap that was told twice is one, also where its time had to be clamped, which depends on when it came. */
const GAPS = `SELECT min(${hourOf('ts')}) AS hour, JSONExtractString(body, 'reason') AS named,
    if(named = '', 'unknown', named) AS reason, JSONExtractUInt(body, 'dropped') AS count
  FROM events WHERE ${HOST} AND kind = 'gap' AND ts >= ${FROM} AND ts < ${TO} GROUP BY body`;

/** A batch that came twice is one: without a tick in time it stands where it arrived, which differs. */
const SET_ASIDE = `SELECT min(${hourOf('at')}) AS hour, max(quarantined) AS aside
  FROM (${batches('epoch, seq, since, at, quarantined', `${IN_RANGE} AND quarantined > 0`)}) GROUP BY epoch, seq, since`;

function hourOf(column: string): string {
  return `intDiv(toUnixTimestamp64Milli(${column}), ${HOUR_MS}) * ${HOUR_MS}`;
}

/** `SELECT * FROM muster.silences(host = 'web-1', fromMs = 0, toMs = 4102444800000)` */
export const SILENCES_VIEW = `CREATE VIEW IF NOT EXISTS silences AS ${SILENCES}`;

/**
 * `SELECT * FROM muster.completeness(host = 'web-1', fromMs = 0, toMs = 4102444800000)`: of every hour of a range in
 * which there is anything to say, by the clock of the host, what `Completeness` in proto/api.ts defines.
 */
export const COMPLETENESS_VIEW = `CREATE VIEW IF NOT EXISTS completeness AS
  SELECT hour AS hourMs, sum(t) AS ticksReceived, sum(t) + sum(m) AS ticksExpected,
    sum(r) AS batchesReceived, sum(r) + sum(s) AS batchesExpected, sumMap(d) AS dropped, sum(q) AS quarantined
  FROM (
    SELECT intDiv(tickMs, ${HOUR_MS}) * ${HOUR_MS} AS hour, 1 AS t, 0 AS m, 0 AS r, 0 AS s,
      CAST(map(), 'Map(String, UInt64)') AS d, 0 AS q FROM (${TICKS})
    UNION ALL SELECT hour, 0, missing, 0, 0, CAST(map(), 'Map(String, UInt64)'), 0 FROM (${MISSING})
    UNION ALL SELECT hour, 0, 0, 1, skipped, CAST(map(), 'Map(String, UInt64)'), 0 FROM (${RECORDS_CHAINED})
    UNION ALL SELECT hour, 0, 0, 0, 0, map(reason, count), 0 FROM (${GAPS})
    UNION ALL SELECT hour, 0, 0, 0, 0, CAST(map(), 'Map(String, UInt64)'), aside FROM (${SET_ASIDE})
  ) GROUP BY hour HAVING ticksExpected + batchesExpected + quarantined + length(dropped) > 0 ORDER BY hour`;

export type CompletenessQuery = { readonly host: string; readonly fromMs: number; readonly toMs: number };
export type CompletenessAnswer = {
  readonly total: Completeness;
  readonly hours: readonly HourCompleteness[];
  /** The newest first. */
  readonly silences: readonly Silence[];
  readonly silencesCount: number;
};

const ARGUMENTS = 'host = {host:String}, fromMs = {fromMs:Int64}, toMs = {toMs:Int64}';

/** Reads what arrived of a host, against what should have. */
export async function readCompleteness(engine: Engine, query: CompletenessQuery): Promise<CompletenessAnswer> {
  const rows = await engine.query(`SELECT * FROM completeness(${ARGUMENTS}) ORDER BY hourMs`, query);
  const hours = rows.map((row) => ({
    hourMs: Number(row['hourMs']),
    ticksReceived: Number(row['ticksReceived']),
    ticksExpected: Number(row['ticksExpected']),
    batchesReceived: Number(row['batchesReceived']),
    batchesExpected: Number(row['batchesExpected']),
    dropped: readCounts(row['dropped']),
    quarantined: Number(row['quarantined']),
  }));
  const silences = await engine.query(
    `SELECT fromMs, toMs, missing, count() OVER () AS count FROM silences(${ARGUMENTS})
     ORDER BY fromMs DESC LIMIT ${SILENCES_MAX}`,
    query,
  );
  return {
    total: addUp(hours),
    hours,
    silences: silences.map((row) => ({
      fromMs: Number(row['fromMs']),
      toMs: Number(row['toMs']),
      ticksMissing: Number(row['missing']),
    })),
    silencesCount: Number(silences[0]?.['count'] ?? 0),
  };
}

function readCounts(value: unknown): Readonly<Record<string, number>> {
  return isRecord(value) ? Object.fromEntries(Object.entries(value).map(([name, count]) => [name, Number(count)])) : {};
}

function addUp(hours: readonly HourCompleteness[]): Completeness {
  const dropped: Record<string, number> = {};
  for (const hour of hours)
    for (const [reason, count] of Object.entries(hour.dropped)) dropped[reason] = (dropped[reason] ?? 0) + count;
  const sum = (name: Exclude<keyof Completeness, 'dropped'>): number =>
    hours.reduce((all, hour) => all + hour[name], 0);
  return {
    ticksReceived: sum('ticksReceived'),
    ticksExpected: sum('ticksExpected'),
    batchesReceived: sum('batchesReceived'),
    batchesExpected: sum('batchesExpected'),
    dropped,
    quarantined: sum('quarantined'),
  };
}
