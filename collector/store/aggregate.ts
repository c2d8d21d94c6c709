import type { AggregateReport, JobProgress } from '@muster/proto/api';

import { COLUMNS, GRACE_MS, HOSTS_DUE, noteDone, PERIODS, selectFigures, sliceHosts, type Versions } from './rollup.ts';
import type { Engine } from './store.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** What is computed at once of each tier: windows of five minutes by the hour. */
const STEPS = [
  { tier: '5m', stepMs: HOUR_MS, startOf: 'start', period: null },
  { tier: '1h', stepMs: HOUR_MS, startOf: 'toStartOfHour(start)', period: PERIODS[0] },
  { tier: '1d', stepMs: DAY_MS, startOf: 'toStartOfDay(start)', period: PERIODS[1] },
] as const;
type Step = (typeof STEPS)[number];
type RollupTier = Step['tier'];

export type AggregateOptions = {
  readonly fromMs: number;
  readonly toMs: number;
  /** Of which tiers. */
  readonly tiers: readonly RollupTier[];
  /** Everything anew, not only what is missing or due. */
  readonly force: boolean;
  /** How long samples are kept. */
  readonly rawDays: number;
  readonly versions: Versions;
  readonly now: () => number;
};

export type AggregateContext = {
  readonly onProgress: (progress: JobProgress) => void;
  readonly signal: AbortSignal;
};

/**
 * Computes rollups of a range from its samples. What the samples no longer tell stays as it was: periods that begin before
 * samples are kept are left alone, and so is a row of more samples than are there now.
 *
 * The collector's own rollup may run beside it, and samples may arrive: of two rows the one with the higher version
 * counts, every version is drawn before its samples are read, and what arrives later is computed with a later one. A kill
 * leaves rows that are right.
 */
export async function aggregate(
  engine: Engine,
  options: AggregateOptions,
  { onProgress, signal }: AggregateContext,
): Promise<AggregateReport> {
  const { fromMs, toMs, tiers, force, rawDays, versions, now } = options;
  const startedMs = now();
  // A partition goes part by part: nothing that is past its time is computed from.
  const keptMs = startedMs - rawDays * DAY_MS;
  const starts = await listHours(engine, fromMs, toMs);
  const steps = STEPS.filter(({ tier }) => tiers.includes(tier)).flatMap((step) =>
    [...new Set(starts.map((startMs) => Math.floor(startMs / step.stepMs) * step.stepMs))]
      .filter((startMs) => startMs >= keptMs && startMs >= fromMs && startMs + step.stepMs <= toMs)
      .filter((startMs) => step.period === null || startMs + step.stepMs + GRACE_MS <= startedMs)
      .map((startMs) => ({ step, startMs })),
  );
  const firstVersion = versions.next();
  const computed: Record<RollupTier, number> = { '5m': 0, '1h': 0, '1d': 0 };
  for (const [done, { step, startMs }] of steps.entries()) {
    signal.throwIfAborted();
    onProgress({ done, total: steps.length, what: describeStep(step, startMs) });
    const range = { startS: startMs / 1000, endS: (startMs + step.stepMs) / 1000, version: versions.next() };
    if (await computeStep({ engine, step, range, force, signal })) computed[step.tier] += 1;
  }
  onProgress({ done: steps.length, total: steps.length, what: 'counting' });
  const reports = [];
  for (const tier of tiers)
    reports.push({
      tier,
      periods: computed[tier],
      ...(await countRows(engine, tier, { fromMs, toMs, firstVersion })),
    });
  return { fromMs, toMs, force, tiers: reports, seconds: (now() - startedMs) / 1000 };
}

function describeStep({ tier }: Step, startMs: number): string {
  const at = new Date(startMs).toISOString();
  return `${tier} of ${tier === '1d' ? at.slice(0, 10) : at.slice(0, 16).replace('T', ' ')}`;
}

/** The hours of a range of which there may be samples, as far as the parts of the table say. */
async function listHours(engine: Engine, fromMs: number, toMs: number): Promise<readonly number[]> {
  const parts = await engine.query(
    `SELECT toUnixTimestamp(min(min_time)) AS firstS, toUnixTimestamp(max(max_time)) AS lastS FROM system.parts
     WHERE database = currentDatabase() AND table = 'chunks' AND active AND rows > 0 GROUP BY partition_id`,
  );
  const hours = new Set<number>();
  for (const { firstS, lastS } of parts) {
    const lastMs = Math.min(Number(lastS) * 1000, toMs - 1);
    const firstMs = Math.max(Number(firstS) * 1000, fromMs);
    for (let hourMs = Math.floor(firstMs / HOUR_MS) * HOUR_MS; hourMs <= lastMs; hourMs += HOUR_MS) hours.add(hourMs);
  }
  return [...hours].toSorted((a, b) => a - b);
}

const IN_STEP = `start >= toDateTime({startS:Int64}) AND start < toDateTime({endS:Int64})`;
const ROW_IN_STEP = `ts >= toDateTime({startS:Int64}) AND ts < toDateTime({endS:Int64})`;

type StepTask = {
  readonly engine: Engine;
  readonly step: Step;
  readonly range: { readonly startS: number; readonly endS: number; readonly version: number };
  readonly force: boolean;
  readonly signal: AbortSignal;
};

/** Whether there was anything to compute. */
async function computeStep({ engine, step, range, force, signal }: StepTask): Promise<boolean> {
  const { tier, startOf, period } = step;
  const parameters = period === null ? range : { ...range, tier };
  const wanted = force ? IN_STEP : `${IN_STEP} AND (${missing(step)})`;
  const slices = await sliceHosts(engine, wanted, parameters);
  const inSlice = 'host IN {hosts:Array(String)}';
  for (const hosts of slices) {
    signal.throwIfAborted();
    await engine.command(
      `INSERT INTO rollup_${tier} (${COLUMNS}) SELECT ${COLUMNS} FROM (${selectFigures(startOf, `${wanted} AND ${inSlice}`)}) AS new
       LEFT JOIN (SELECT metric, host, labels, ts, samples AS had FROM rollup_${tier} FINAL WHERE ${ROW_IN_STEP} AND ${inSlice})
         AS old USING (metric, host, labels, ts) WHERE samples >= had`,
      { ...parameters, hosts },
    );
  }
  if (slices.length > 0 && period !== null) await noteDone(engine, period, range);
  return slices.length > 0;
}

/** Series of which the rollup has no row, and those of hosts that are due. By a hash of 128 bits: texts take more. */
function missing({ tier, startOf, period }: Step): string {
  const hasNone = `sipHash128(metric, host, labels, ${startOf}) NOT IN
    (SELECT sipHash128(metric, host, labels, ts) FROM rollup_${tier} WHERE ${ROW_IN_STEP})`;
  return period === null ? hasNone : `${hasNone} OR host IN (${HOSTS_DUE})`;
}

type Counted = { readonly fromMs: number; readonly toMs: number; readonly firstVersion: number };

async function countRows(engine: Engine, tier: RollupTier, { fromMs, toMs, firstVersion }: Counted) {
  const [row] = await engine.query(
    `SELECT uniqExactIf(host, isNew) AS hosts, uniqExactIf(sipHash128(metric, host, labels), isNew) AS series,
       countIf(isNew) AS rows, countIf(NOT isNew) AS left
     FROM (SELECT metric, host, labels, version > {firstVersion:UInt64} AS isNew FROM rollup_${tier} FINAL
       WHERE ts >= toDateTime({fromS:Int64}) AND ts < toDateTime({toS:Int64}))`,
    { fromS: Math.ceil(fromMs / 1000), toS: Math.ceil(toMs / 1000), firstVersion },
  );
  const of = (name: string): number => Number(row?.[name] ?? 0);
  return { hosts: of('hosts'), series: of('series'), rows: of('rows'), left: of('left') };
}
