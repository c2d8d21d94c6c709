import type { Engine } from './store.ts';

const PERIODS = [
  { tier: '1h', periodMs: 3_600_000, startOf: 'toStartOfHour(start)', next: '1d', nextStartOf: 'toStartOfDay(start)' },
  { tier: '1d', periodMs: 86_400_000, startOf: 'toStartOfDay(start)', next: null, nextStartOf: '' },
] as const;
type Period = (typeof PERIODS)[number];
/** A period is rolled up this long after its end, when what was on its way has mostly arrived. */
const GRACE_MS = 120_000;

/** What the samples of one series come to; `offsets` and `row` are those of all chunks of a period, in any order. */
const FIGURES = `length(row) AS samples, arrayMin(row) AS min, arrayMax(row) AS max, arrayAvg(row) AS avg,
  arrayReduce('quantileExactInclusive(0.5)', row) AS median, arrayReduce('stddevPopStable', row) AS stddev,
  row[indexOf(offsets, arrayMax(offsets))] AS last, fromUnixTimestamp64Milli(arrayMax(offsets), 'UTC') AS lastTs`;
const COLUMNS = 'metric, host, labels, ts, samples, min, max, avg, median, stddev, last, lastTs, version';

function selectFigures(startOf: string, where: string, version: number): string {
  return `SELECT metric, host, labels, ts, ${FIGURES}, ${version} AS version FROM (
    SELECT metric, host, labels, ${startOf} AS ts, groupArrayArray(values) AS row,
      groupArrayArray(arrayMap(offset -> toInt64(1000) * toUnixTimestamp(start) + offset, offsetsMs)) AS offsets
    FROM chunks WHERE ${where} GROUP BY metric, host, labels, ts)`;
}

/** Numbers of versions of rows: each higher than all before, also where the clock was set back. */
export type Versions = { readonly next: () => number };

export async function openVersions(engine: Engine, now: () => number): Promise<Versions> {
  const [row] = await engine.query(`SELECT max(version) AS version FROM rollup_due`);
  let version = Number(row?.['version'] ?? 0);
  return { next: () => (version = Math.max(version + 1, now())) };
}

/**
 * Computes the windows of which there are chunks in `chunks_next` anew from all their samples, and notes that their hours
 * are to be computed. Again, it changes nothing.
 */
export async function writeRollup5m(engine: Engine, version: number): Promise<void> {
  const touched = `SELECT DISTINCT host, start FROM chunks_next`;
  // First of all: from here on every version is higher.
  await engine.command(
    `INSERT INTO rollup_due (tier, start, host, done, version)
     SELECT DISTINCT '1h', toStartOfHour(start), host, 0, ${version} FROM (${touched})`,
  );
  await engine.command(
    `INSERT INTO rollup_5m (${COLUMNS}) ${selectFigures('start', `(host, start) IN (${touched})`, version)}`,
  );
}

/**
 * Computes the hours and days anew in which samples arrived, of the hosts that they came from, once they are over. A kill
 * at any moment costs nothing: what is not done is due still. As much of it as until `closing`; never twice at once.
 */
export async function rollUpDue(
  engine: Engine,
  { versions, now }: { readonly versions: Versions; readonly now: () => number },
  closing?: AbortSignal,
): Promise<void> {
  for (const period of PERIODS) {
    const { tier, periodMs } = period;
    const due = await engine.query(
      `SELECT DISTINCT toUnixTimestamp(start) AS startS FROM ${dueOf(tier)}
         AND start <= toDateTime(${Math.floor((now() - periodMs - GRACE_MS) / 1000)}) ORDER BY startS`,
    );
    for (const { startS } of due) {
      if (closing?.aborted === true) return;
      await rollUp(engine, period, { startS: Number(startS), version: versions.next() });
    }
  }
}

const dueOf = (tier: string): string => `rollup_due FINAL WHERE tier = '${tier}' AND done = 0`;

type RollUp = { readonly startS: number; readonly version: number };

async function rollUp(
  engine: Engine,
  { tier, periodMs, startOf, next, nextStartOf }: Period,
  { startS, version }: RollUp,
) {
  const hosts = `SELECT host FROM ${dueOf(tier)} AND start = toDateTime(${startS}) AND version < ${version}`;
  const endS = startS + periodMs / 1000;
  const where = `start >= toDateTime(${startS}) AND start < toDateTime(${endS}) AND host IN (${hosts})`;
  await engine.command(`INSERT INTO rollup_${tier} (${COLUMNS}) ${selectFigures(startOf, where, version)}`);
  const note = (set: string): Promise<void> =>
    engine.command(
      `INSERT INTO rollup_due (tier, start, host, done, version)
       SELECT ${set}, ${version} FROM (SELECT toDateTime(${startS}, 'UTC') AS start, host FROM (${hosts}))`,
    );
  if (next !== null) await note(`'${next}', ${nextStartOf}, host, 0`);
  await note(`'${tier}', start, host, 1`);
}
