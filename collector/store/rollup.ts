import type { Engine } from './store.ts';

export const PERIODS = [
  { tier: '1h', periodMs: 3_600_000, startOf: 'toStartOfHour(start)', next: '1d', nextStartOf: 'toStartOfDay(start)' },
  { tier: '1d', periodMs: 86_400_000, startOf: 'toStartOfDay(start)', next: null, nextStartOf: '' },
] as const;
export type Period = (typeof PERIODS)[number];
/** A period is rolled up this long after its end, when what was on its way has mostly arrived. */
export const GRACE_MS = 120_000;

/**
 * What one statement computes from: medians need all samples of a series at once, 20 bytes each with what else is made of
 * them. A host that has more in a period is computed alone.
 */
const SLICE_SAMPLES = 5_000_000;
/** They are named in the statement. */
const SLICE_HOSTS = 1_000;

/** The newest tick of a chunk, Unix ms. */
const NEWEST = 'toInt64(1000) * toUnixTimestamp(start) + arrayMax(offsetsMs)';
/** What the samples of one series in a period come to; of one key there may be several chunks, in any order. */
const FIGURES = `sum(length(values)) AS samples, min(arrayMin(values)) AS min, max(arrayMax(values)) AS max,
  avgArray(values) AS avg, quantileExactInclusiveArray(0.5)(values) AS median, stddevPopStableArray(values) AS stddev,
  argMax(values[indexOf(offsetsMs, arrayMax(offsetsMs))], ${NEWEST}) AS last,
  fromUnixTimestamp64Milli(max(${NEWEST}), 'UTC') AS lastTs`;
export const COLUMNS = 'metric, host, labels, ts, samples, min, max, avg, median, stddev, last, lastTs, version';

/** Of what was told of the past, and not computed: what is computed has a higher one. */
export const HISTORY_VERSION = 0;

/** `from`: chunks, where nothing of it is archived, or can be meanwhile: in their order, so that little is in memory. */
type Figures = { readonly from: 'chunks' | 'stored'; readonly version: number };

export function selectFigures(startOf: string, where: string, { from, version }: Figures): string {
  return `SELECT metric, host, labels, ${startOf} AS ts, ${FIGURES}, ${version} AS version
    FROM ${from} WHERE ${where} GROUP BY metric, host, labels, ts SETTINGS optimize_aggregation_in_order = 1, max_threads = 1`;
}

/** The hosts with samples that `where` names, in groups that a statement can compute at once: conditions that name them. */
export async function sliceHosts(engine: Engine, where: string): Promise<readonly string[]> {
  // By name, as the chunks are ordered, so that each group is a stretch of every metric. In hexadecimal: no statement
  // holds text from outside.
  const rows = await engine.query(
    `SELECT hex(host) AS name, sum(length(offsetsMs)) AS samples FROM stored WHERE ${where} GROUP BY host ORDER BY host`,
  );
  const slices: string[][] = [];
  let left = 0;
  for (const row of rows) {
    const samples = Number(row['samples']);
    if (slices.length === 0 || samples > left || slices.at(-1)?.length === SLICE_HOSTS) {
      slices.push([]);
      left = SLICE_SAMPLES;
    }
    slices.at(-1)?.push(`unhex('${String(row['name'])}')`);
    left -= samples;
  }
  return slices.map((names) => `host IN (${names.join(', ')})`);
}

/** Numbers of versions of rows: each higher than all before, also where the clock was set back. */
export type Versions = { readonly next: () => number };

export async function openVersions(engine: Engine, now: () => number): Promise<Versions> {
  // Whoever had the store before may have had a clock ahead of ours, and numbered what arrived by it.
  const [row] = await engine.query(
    `SELECT greatest((SELECT max(version) FROM rollup_due), (SELECT max(generation) FROM arrivals)) AS version`,
  );
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
  const archivedS = await readArchivedS(engine);
  for (const [from, than] of [
    ['chunks', '>'],
    ['stored', '<='],
  ] as const) {
    const where = `(host, start) IN (${touched} WHERE start ${than} toDateTime(${archivedS}))`;
    await engine.command(`INSERT INTO rollup_5m (${COLUMNS}) ${selectFigures('start', where, { from, version })}`);
  }
}

/** The newest window of which something is archived, Unix seconds; 0 where nothing is. */
async function readArchivedS(engine: Engine): Promise<number> {
  const [row] = await engine.query(
    `SELECT toUnixTimestamp(max(max_time)) AS archivedS FROM system.parts
     WHERE database = currentDatabase() AND table = 'archive' AND active AND rows > 0`,
  );
  return Number(row?.['archivedS']);
}

/** Runs a task while every sample is there once: nothing is being compacted, nor moved to the archive. */
export type Settled = <T>(task: () => Promise<T>) => Promise<T>;

export type RollUpOptions = {
  readonly versions: Versions;
  readonly now: () => number;
  /** By default it is so. */
  readonly settled?: Settled;
};

/**
 * Computes the hours and days anew in which samples arrived, of the hosts that they came from, once they are over. A kill
 * at any moment costs nothing: what is not done is due still. As much of it as until `closing`; never twice at once.
 */
export async function rollUpDue(
  engine: Engine,
  { versions, now, settled = (task) => task() }: RollUpOptions,
  closing?: AbortSignal,
): Promise<void> {
  for (const period of PERIODS) {
    const { tier, periodMs } = period;
    // Hours by the day: what comes back after a long time is due for many.
    const due = await engine.query(
      `SELECT toUnixTimestamp(min(start)) AS firstS, toUnixTimestamp(max(start)) AS lastS FROM ${dueOf(tier)}
       AND start <= toDateTime(${Math.floor((now() - periodMs - GRACE_MS) / 1000)})
       GROUP BY toStartOfDay(start) ORDER BY firstS`,
    );
    for (const { firstS, lastS } of due) {
      if (closing?.aborted === true) return;
      const endS = Number(lastS) + periodMs / 1000;
      const range = { startS: Number(firstS), endS, version: versions.next() };
      if (await rollUp(engine, { period, range, settled }, closing)) await noteDone(engine, period, range);
    }
  }
}

const dueOf = (tier: string): string => `rollup_due FINAL WHERE tier = '${tier}' AND done = 0`;

/** Whole periods of a tier, Unix seconds. What was due before `version` is computed by it. */
export type RollUp = { readonly startS: number; readonly endS: number; readonly version: number };

/** That an instant lies in a range. */
export function isIn(column: string, { startS, endS }: RollUp): string {
  return `${column} >= toDateTime(${startS}) AND ${column} < toDateTime(${endS})`;
}

/** The periods of a range that are due, each of one host. */
export function selectDue(tier: string, range: RollUp): string {
  return `SELECT start, host FROM ${dueOf(tier)} AND ${isIn('start', range)} AND version < ${range.version}`;
}

type RollUpTask = { readonly period: Period; readonly range: RollUp; readonly settled: Settled };

/** False: it was ended before all of it was computed. */
async function rollUp(
  engine: Engine,
  { period: { tier, startOf }, range, settled }: RollUpTask,
  closing?: AbortSignal,
): Promise<boolean> {
  const where = `${isIn('start', range)} AND (${startOf}, host) IN (${selectDue(tier, range)})`;
  for (const isOfSlice of await sliceHosts(engine, where)) {
    if (closing?.aborted === true) return false;
    const figures = selectFigures(startOf, `${where} AND ${isOfSlice}`, { from: 'stored', version: range.version });
    await settled(() => engine.command(`INSERT INTO rollup_${tier} (${COLUMNS}) ${figures}`));
  }
  return true;
}

/** Notes that what was due in a range is computed; the days that computed hours are part of are due now. */
export async function noteDone(engine: Engine, { tier, next, nextStartOf }: Period, range: RollUp): Promise<void> {
  const note = (set: string): Promise<void> =>
    engine.command(
      `INSERT INTO rollup_due (tier, start, host, done, version)
       SELECT DISTINCT ${set}, ${range.version} FROM (${selectDue(tier, range)})`,
    );
  if (next !== null) await note(`'${next}', ${nextStartOf}, host, 0`);
  await note(`'${tier}', start, host, 1`);
}
