import type { CleanupReport, CleanupTable, JobProgress } from '@muster/proto/api';

import type { Keep } from '../domain/keep.ts';
import type { Ballast } from './ballast.ts';
import { countSamples, withRoom } from './drop.ts';
import type { Mender } from './mend.ts';
import { TIER_TABLES } from './retention.ts';
import type { Engine } from './store.ts';

const DAY_MS = 86_400_000;
/** A projection goes by so many of the last full days at most: a week has one weekend. */
const FULL_DAYS_MAX = 7;
/** What still grows is not merged: an agent may hold the last 24 hours. */
const CLOSED_MS = 2 * DAY_MS;
/** While a partition is merged nothing is compacted: half a minute, at 60 MB a second. */
const OPTIMIZE_BYTES_MAX = 2 * 1024 ** 3;

/** What is kept, in which tables. `spanDays`: of a partition; some of it is older than it is kept by as much. */
const KEPT = [
  { ...TIER_TABLES.raw, kept: 'raw', tier: 'raw', spanDays: 1 },
  { ...TIER_TABLES['5m'], kept: '5m', tier: '5m', spanDays: 31 },
  { ...TIER_TABLES['1h'], kept: '1h', tier: '1h', spanDays: 31 },
  { ...TIER_TABLES['1d'], kept: '1d', tier: '1d', spanDays: 366 },
  { tables: ['batches'], column: 'at', kept: 'batches', tier: 'raw', spanDays: 1 },
] as const;
type Kept = (typeof KEPT)[number];

export type CleanupStore = {
  readonly engine: Engine;
  readonly mender: Mender;
  readonly ballast: Ballast;
  readonly keep: Keep;
};
export type CleanupOptions = { readonly apply: boolean; readonly optimize: boolean; readonly now: () => number };
export type CleanupContext = {
  readonly onProgress: (progress: JobProgress) => void;
  readonly signal: AbortSignal;
};

/**
 * Says what is past its time, and drops it with `apply`: whole partitions, as the engine does by itself within an hour.
 * With `optimize` the parts of each partition that no longer grows are merged to one. What is cut off goes on the next time.
 */
export async function cleanUp(
  { engine, mender, ballast, keep }: CleanupStore,
  { apply, optimize, now }: CleanupOptions,
  { onProgress, signal }: CleanupContext,
): Promise<CleanupReport> {
  const startedMs = now();
  const freeBytes = await readFreeBytes(engine);
  const tables: CleanupTable[] = [];
  let fullDays = 0;
  for (const one of KEPT) {
    signal.throwIfAborted();
    onProgress({ done: tables.length, total: KEPT.length, what: `looking at ${one.kept}` });
    const look = await lookAt(engine, one, { keepDays: keep[one.tier], nowMs: startedMs });
    fullDays = Math.max(fullDays, look.fullDays);
    tables.push(look.table);
  }
  if (apply)
    for (const [i, { going }] of tables.entries()) {
      const one = KEPT[i];
      if (one === undefined || going.partitions.length === 0) continue;
      signal.throwIfAborted();
      onProgress({
        done: i,
        total: KEPT.length,
        what: `dropping ${going.partitions.length} partitions of ${one.kept}`,
      });
      const pastMs = startedMs - keep[one.tier] * DAY_MS;
      for (const table of one.tables)
        await withRoom(ballast, () => mender.drop(table, (bare) => dropPast(bare, table, pastMs)));
    }
  const optimized = optimize ? await optimizeClosed(engine, startedMs, { onProgress, signal }) : null;
  const freeBytesAfter = await readFreeBytes(engine);
  return {
    applied: apply,
    tables,
    freeBytes,
    freeBytesAfter,
    fullDays,
    optimized,
    seconds: (now() - startedMs) / 1000,
  };
}

/** Of the fullest disk of the engine, which may be on another machine. */
async function readFreeBytes(engine: Engine): Promise<number> {
  const [row] = await engine.query('SELECT min(unreserved_space) AS freeBytes FROM system.disks');
  return Number(row?.['freeBytes']);
}

type Partition = {
  readonly table: string;
  readonly id: string;
  readonly rows: number;
  readonly bytes: number;
  readonly parts: number;
  /** The newest instant in it. */
  readonly lastMs: number;
};

/** The partitions of tables, the oldest first. */
async function listPartitions(engine: Engine, tables: readonly string[]): Promise<readonly Partition[]> {
  const rows = await engine.query(
    `SELECT table, partition_id AS id, sum(rows) AS allRows, sum(bytes_on_disk) AS bytes, count() AS parts,
       toUnixTimestamp(max(max_time)) AS lastS
     FROM system.parts WHERE database = currentDatabase() AND table IN (${quote(tables)}) AND active AND rows > 0
     GROUP BY table, partition_id ORDER BY id`,
  );
  return rows.map((row) => ({
    table: String(row['table']),
    id: String(row['id']),
    rows: Number(row['allRows']),
    bytes: Number(row['bytes']),
    parts: Number(row['parts']),
    lastMs: 1000 * Number(row['lastS']),
  }));
}

function quote(tables: readonly string[]): string {
  return tables.map((table) => `'${table}'`).join(', ');
}

function sum(list: readonly Partition[], of: 'rows' | 'bytes'): number {
  return list.reduce((all, one) => all + one[of], 0);
}

type Look = { readonly table: CleanupTable; readonly fullDays: number };

async function lookAt(
  engine: Engine,
  { tables, column, kept, spanDays }: Kept,
  { keepDays, nowMs }: { readonly keepDays: number; readonly nowMs: number },
): Promise<Look> {
  const all = await listPartitions(engine, tables);
  const going = all.filter(({ lastMs }) => lastMs < nowMs - keepDays * DAY_MS);
  let samples = 0;
  for (const table of kept === 'raw' ? tables : []) {
    const ids = going.filter((one) => one.table === table).map(({ id }) => id);
    const [held] = ids.length > 0 ? await engine.query(countSamples(table, ids)) : [];
    samples += Number(held?.['samples'] ?? 0);
  }
  const { days, rowsADay } = await readGrowth(engine, { tables, column, nowMs });
  const [rows, bytes] = [sum(all, 'rows'), sum(all, 'bytes')];
  return {
    fullDays: days,
    table: {
      kept,
      keepDays,
      rows,
      bytes,
      going: {
        partitions: going.map(({ id }) => id),
        rows: sum(going, 'rows'),
        samples,
        bytes: sum(going, 'bytes'),
      },
      projectedBytes: days === 0 ? null : Math.round((bytes / Math.max(1, rows)) * rowsADay * (keepDays + spanDays)),
    },
  };
}

type GrowthQuery = { readonly tables: readonly string[]; readonly column: string; readonly nowMs: number };

/** How many rows the last full days have brought on average: those before today, and after the first that has any. */
async function readGrowth(
  engine: Engine,
  { tables, column, nowMs }: GrowthQuery,
): Promise<{ days: number; rowsADay: number }> {
  const toMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const fromMs = toMs - FULL_DAYS_MAX * DAY_MS;
  const [first] = await engine.query(
    `SELECT toUnixTimestamp(toStartOfDay(min(min_time))) AS firstS FROM system.parts
     WHERE database = currentDatabase() AND table IN (${quote(tables)}) AND active AND rows > 0`,
  );
  const firstS = Number(first?.['firstS'] ?? 0); // 0: there is nothing
  const firstFullMs = firstS === 0 ? toMs : firstS * 1000 + DAY_MS;
  const sinceMs = Math.max(fromMs, firstFullMs);
  const days = Math.max(0, Math.round((toMs - sinceMs) / DAY_MS));
  if (days === 0) return { days, rowsADay: 0 };
  let rows = 0;
  for (const table of tables) {
    const [row] = await engine.query(
      `SELECT count() AS rows FROM ${table} WHERE ${column} >= toDateTime(${sinceMs / 1000}) AND ${column} < toDateTime(${toMs / 1000})`,
    );
    rows += Number(row?.['rows'] ?? 0);
  }
  return { days, rowsADay: rows / days };
}

async function dropPast(engine: Engine, table: string, pastMs: number): Promise<void> {
  for (const { id, lastMs } of await listPartitions(engine, [table]))
    if (lastMs < pastMs) await engine.command(`ALTER TABLE ${table} DROP PARTITION ID '${id}'`);
}

/** Merges what no longer grows; a merge reads and writes as it goes, so that it needs little memory however large it is. */
async function optimizeClosed(engine: Engine, nowMs: number, { onProgress, signal }: CleanupContext) {
  const waiting: { readonly table: string; readonly id: string; readonly bytes: number }[] = [];
  for (const table of KEPT.flatMap<string>(({ tables }) => tables)) {
    const partitions = (await listPartitions(engine, [table])).slice(0, -1); // the newest may grow still
    for (const { id, bytes, parts, lastMs } of partitions)
      if (parts > 1 && lastMs < nowMs - CLOSED_MS) waiting.push({ table, id, bytes });
  }
  const skipped: string[] = [];
  for (const [done, { table, id, bytes }] of waiting.entries()) {
    signal.throwIfAborted();
    onProgress({ done, total: waiting.length, what: `merging ${id} of ${table}` });
    const isTooLarge = bytes > OPTIMIZE_BYTES_MAX || (await readFreeBytes(engine)) < 2 * bytes;
    if (isTooLarge) skipped.push(`${id} of ${table}`);
    else await engine.command(`OPTIMIZE TABLE ${table} PARTITION ID '${id}' FINAL`);
  }
  return { partitions: waiting.length - skipped.length, skipped };
}
