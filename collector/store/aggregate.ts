import type { AggregateReport, JobProgress } from '@muster/proto/api';

import { WINDOW_MS } from '../domain/samples.ts';
import {
  COLUMNS,
  GRACE_MS,
  isIn,
  noteDone,
  PERIODS,
  type RollUp,
  selectDue,
  selectFigures,
  type Settled,
  sliceHosts,
  type Versions,
} from './rollup.ts';
import type { Engine } from './store.ts';

const DAY_MS = 86_400_000;

/** Hours before the days that they are part of. */
const TIERS = [
  { tier: '5m', periodMs: WINDOW_MS, graceMs: 0, startOf: 'start', period: null },
  { tier: '1h', periodMs: PERIODS[0].periodMs, graceMs: GRACE_MS, startOf: PERIODS[0].startOf, period: PERIODS[0] },
  { tier: '1d', periodMs: PERIODS[1].periodMs, graceMs: GRACE_MS, startOf: PERIODS[1].startOf, period: PERIODS[1] },
] as const;
type RollupTier = (typeof TIERS)[number];
type TierName = RollupTier['tier'];

export type AggregateOptions = {
  readonly fromMs: number;
  readonly toMs: number;
  /** Of which tiers. */
  readonly tiers: readonly TierName[];
  /** Everything anew, not only what is missing or due. */
  readonly force: boolean;
  /** How long samples are kept. */
  readonly rawDays: number;
  readonly versions: Versions;
  readonly now: () => number;
  /** By default it is so. */
  readonly settled?: Settled;
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
  const { fromMs, toMs, tiers, force, versions, now, settled = (task) => task() } = options;
  const startedMs = now();
  const steps = listSteps(await listDays(engine, fromMs, toMs), options, startedMs);
  const firstVersion = versions.next();
  for (const [done, step] of steps.entries()) {
    const day = new Date(step.startS * 1000).toISOString().slice(0, 10);
    const onSlice = (slice: number, slices: number): void => {
      signal.throwIfAborted();
      const which = slices > 1 ? `, part ${slice + 1} of ${slices}` : '';
      onProgress({ done, total: steps.length, what: `${step.of.tier} of ${day}${which}` });
    };
    onSlice(0, 1);
    await computeStep({ engine, step: { ...step, version: versions.next() }, force, settled, onSlice });
  }
  onProgress({ done: steps.length, total: steps.length, what: 'counting' });
  const reports = [];
  for (const tier of tiers) reports.push({ tier, ...(await countRows(engine, tier, { fromMs, toMs, firstVersion })) });
  return { fromMs, toMs, force, tiers: reports, seconds: (now() - startedMs) / 1000 };
}

/** The days of a range of which there may be samples, as far as the parts of the table say. */
async function listDays(engine: Engine, fromMs: number, toMs: number): Promise<readonly number[]> {
  const parts = await engine.query(
    `SELECT toUnixTimestamp(min(min_time)) AS firstS, toUnixTimestamp(max(max_time)) AS lastS FROM system.parts
     WHERE database = currentDatabase() AND table IN ('chunks', 'archive') AND active AND rows > 0 GROUP BY table, partition_id`,
  );
  const days = new Set<number>();
  for (const { firstS, lastS } of parts) {
    const lastMs = Math.min(Number(lastS) * 1000, toMs - 1);
    const firstMs = Math.max(Number(firstS) * 1000, fromMs);
    for (let dayMs = Math.floor(firstMs / DAY_MS) * DAY_MS; dayMs <= lastMs; dayMs += DAY_MS) days.add(dayMs);
  }
  return [...days].toSorted((a, b) => a - b);
}

/** The periods of one tier on one day, Unix seconds. */
type Step = { readonly of: RollupTier; readonly startS: number; readonly endS: number };

/** Whole periods that are over, and of which no sample is past its time: a partition goes part by part. */
function listSteps(days: readonly number[], options: AggregateOptions, nowMs: number): readonly Step[] {
  const keptMs = nowMs - options.rawDays * DAY_MS;
  return TIERS.filter(({ tier }) => options.tiers.includes(tier)).flatMap((of) =>
    days
      .map((dayMs) => ({
        of,
        startS: Math.ceil(Math.max(dayMs, options.fromMs, keptMs) / of.periodMs) * (of.periodMs / 1000),
        endS:
          Math.floor(Math.min(dayMs + DAY_MS, options.toMs, nowMs - of.graceMs) / of.periodMs) * (of.periodMs / 1000),
      }))
      .filter(({ startS, endS }) => startS < endS),
  );
}

type StepTask = {
  readonly engine: Engine;
  readonly step: Step & RollUp;
  readonly force: boolean;
  readonly settled: Settled;
  /** Called before each of the statements; what it throws ends the work. */
  readonly onSlice: (slice: number, slices: number) => void;
};

async function computeStep({ engine, step, force, settled, onSlice }: StepTask): Promise<void> {
  const { of, version } = step;
  const wanted = force ? isIn('start', step) : `${isIn('start', step)} AND (${missing(of, step)})`;
  const slices = await sliceHosts(engine, wanted);
  for (const [i, isOfSlice] of slices.entries()) {
    onSlice(i, slices.length);
    await settled(() =>
      engine.command(
        `INSERT INTO rollup_${of.tier} (${COLUMNS})
       SELECT ${COLUMNS} FROM (${selectFigures(of.startOf, `${wanted} AND ${isOfSlice}`, { from: 'stored', version })}) AS new
       LEFT JOIN (SELECT metric, host, labels, ts, samples AS had FROM rollup_${of.tier} FINAL
           WHERE ${isIn('ts', step)} AND ${isOfSlice}) AS old
         USING (metric, host, labels, ts) WHERE samples >= had`,
      ),
    );
  }
  if (slices.length > 0 && of.period !== null) await noteDone(engine, of.period, step);
}

/** Series of which the rollup has no row, and those of hosts that are due. By a hash of 128 bits: texts take more. */
function missing({ tier, startOf, period }: RollupTier, range: RollUp): string {
  const hasNone = `sipHash128(metric, host, labels, ${startOf}) NOT IN
    (SELECT sipHash128(metric, host, labels, ts) FROM rollup_${tier} WHERE ${isIn('ts', range)})`;
  return period === null ? hasNone : `${hasNone} OR (${startOf}, host) IN (${selectDue(tier, range)})`;
}

type Counted = { readonly fromMs: number; readonly toMs: number; readonly firstVersion: number };

async function countRows(engine: Engine, tier: TierName, { fromMs, toMs, firstVersion }: Counted) {
  const [row] = await engine.query(
    `SELECT uniqExactIf(ts, isNew) AS periods, uniqExactIf(host, isNew) AS hosts, uniqExactIf(sipHash128(metric, host, labels), isNew) AS series,
       countIf(isNew) AS rows, countIf(NOT isNew) AS left
     FROM (SELECT metric, host, labels, ts, version > ${firstVersion} AS isNew FROM rollup_${tier} FINAL
       WHERE ts >= toDateTime(${Math.ceil(fromMs / 1000)}) AND ts < toDateTime(${Math.ceil(toMs / 1000)}))`,
  );
  const of = (name: string): number => Number(row?.[name] ?? 0);
  return { periods: of('periods'), hosts: of('hosts'), series: of('series'), rows: of('rows'), left: of('left') };
}
