import { openEmbedded } from '../../collector/store/embedded.ts';
import { WINDOW_MS } from '../../collector/domain/samples.ts';
import { openCompaction } from '../../collector/store/compaction.ts';
import { openVersions } from '../../collector/store/rollup.ts';
import type { Engine } from '../../collector/store/store.ts';
import type { Ledger } from './ledger.ts';
import { makeSamples, valueOf, type SampleName } from './samples.ts';

/** Counts of samples, but where the name says otherwise. */
const NOTHING = {
  ticksSampled: 0,
  ticksTaken: 0,
  taken: 0,
  acknowledged: 0,
  /** Distinct samples in the store, and how many are read before they are compacted. */
  stored: 0,
  rows: 0,
  /** Taken, or acknowledged, and not in the store. */
  lost: 0,
  lostAcknowledged: 0,
  /** Read twice, before or after the merge. */
  duplicated: 0,
  /** Stored with another value, or of a tick that nobody has sampled. */
  altered: 0,
  /** Ticks that were sampled, were not written when the agent was killed, and are told as a gap; and those that are not. */
  ticksInGaps: 0,
  ticksUntold: 0,
  rollupRows: 0,
  /** Rows of the rollup that differ from what the stored samples give. */
  rollupWrong: 0,
};

export type Verdict = typeof NOTHING;

/** Compares the ledgers of all hosts with the store of a collector that has stopped. */
export async function judge(data: string, ledgers: ReadonlyMap<string, Ledger>): Promise<Verdict> {
  const engine = await openEmbedded(data);
  try {
    const verdict = { ...NOTHING };
    const [counted] = await engine.query(`SELECT count() AS rows FROM samples`);
    verdict.rows = Number(counted?.['rows']);
    await openCompaction(engine, await openVersions(engine, Date.now));
    for (const [host, ledger] of ledgers) await judgeHost(engine, verdict, { host, ledger });
    await engine.command(`OPTIMIZE TABLE chunks FINAL`);
    const [merged] = await engine.query(`SELECT count() AS rows FROM samples`);
    verdict.duplicated += Math.max(0, Number(merged?.['rows']) - verdict.stored);
    return verdict;
  } finally {
    await engine.close();
  }
}

type Judged = { readonly host: string; readonly ledger: Ledger };

async function judgeHost(engine: Engine, verdict: Verdict, { host, ledger }: Judged): Promise<void> {
  const rows = await engine.query(
    `SELECT metric, labels, toUnixTimestamp64Milli(ts) AS tsMs, value FROM samples
     WHERE host = {host:String}`,
    { host },
  );
  const stored = new Map<string, number>();
  const ticks = new Set<number>();
  for (const row of rows) {
    const name = { host, metric: String(row['metric']), labels: String(row['labels']), tsMs: Number(row['tsMs']) };
    const value = Number(row['value']);
    if (stored.has(keyOf(name))) verdict.duplicated += 1;
    if (value !== valueOf(name) || !ledger.sampled.has(name.tsMs)) verdict.altered += 1;
    stored.set(keyOf(name), value);
    ticks.add(name.tsMs);
  }
  verdict.stored += stored.size;
  verdict.ticksSampled += ledger.sampled.size;
  verdict.ticksTaken += ledger.taken.size;
  const countMissing = (tick: number): number =>
    makeSamples(host, tick).filter(({ metric, labels }) => !stored.has(keyOf({ host, metric, labels, tsMs: tick })))
      .length;
  for (const tick of ledger.taken) {
    verdict.taken += makeSamples(host, tick).length;
    verdict.lost += countMissing(tick);
  }
  for (const tick of ledger.stored) {
    verdict.acknowledged += makeSamples(host, tick).length;
    verdict.lostAcknowledged += countMissing(tick);
  }
  const gaps = await readGaps(engine, host);
  for (const tick of ledger.sampled) {
    if (ticks.has(tick)) continue;
    if (gaps.some(({ fromMs, toMs }) => tick >= fromMs && tick <= toMs)) verdict.ticksInGaps += 1;
    else verdict.ticksUntold += 1;
  }
  await judgeRollup(engine, verdict, { host, ticks: [...ticks] });
}

function keyOf({ metric, labels, tsMs }: SampleName): string {
  return `${metric} ${labels} ${tsMs}`;
}

async function readGaps(
  engine: Engine,
  host: string,
): Promise<readonly { readonly fromMs: number; readonly toMs: number }[]> {
  const rows = await engine.query(
    `SELECT toUnixTimestamp64Milli(ts) AS fromMs, JSONExtractUInt(body, 'toMs') AS toMs FROM events FINAL
     WHERE host = {host:String} AND kind = 'gap'`,
    { host },
  );
  return rows.map((row) => ({ fromMs: Number(row['fromMs']), toMs: Number(row['toMs']) }));
}

/** The rollup says of every five minutes how many samples there were, and the extremes and the last of them. */
async function judgeRollup(
  engine: Engine,
  verdict: Verdict,
  { host, ticks }: { readonly host: string; readonly ticks: readonly number[] },
): Promise<void> {
  const rows = await engine.query(
    `SELECT metric, labels, toUnixTimestamp(ts) * 1000 AS tsMs, samples, min, max, avg, last FROM rollup_5m FINAL
     WHERE host = {host:String}`,
    { host },
  );
  const windows = Map.groupBy(ticks, (tick) => tick - (tick % WINDOW_MS));
  const expected = new Map<string, string>();
  for (const [window, inside] of windows) {
    const sorted = inside.toSorted((a, b) => a - b);
    for (const { metric, labels } of makeSamples(host, window)) {
      const values = sorted.map((tsMs) => valueOf({ host, metric, labels, tsMs }));
      expected.set(keyOf({ host, metric, labels, tsMs: window }), describeWindow(values));
    }
  }
  for (const row of rows) {
    const name = { host, metric: String(row['metric']), labels: String(row['labels']), tsMs: Number(row['tsMs']) };
    const found = [row['samples'], row['min'], row['max'], round(row['avg']), row['last']].join(' ');
    if (expected.get(keyOf(name)) !== found) verdict.rollupWrong += 1;
    expected.delete(keyOf(name));
  }
  verdict.rollupRows += rows.length;
  verdict.rollupWrong += expected.size;
}

function describeWindow(values: readonly number[]): string {
  const avg = values.reduce((sum, value) => sum + value, 0) / values.length;
  return [values.length, Math.min(...values), Math.max(...values), round(avg), values.at(-1)].join(' ');
}

/** Sums of floating point depend on their order in the last digits. */
function round(value: unknown): string {
  return Number(value).toPrecision(10);
}
