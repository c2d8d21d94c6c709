import { statfs } from 'node:fs/promises';

import type { CleanupReport, CleanupTable, JobProgress } from '@muster/proto/api';

import type { Keep } from '../domain/keep.ts';
import type { Ballast } from './ballast.ts';
import { withRoom } from './drop.ts';
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

/** How many days a partition spans: some of it is older than it is kept by as much. */
const TABLES = [
  { ...TIER_TABLES.raw, kept: 'raw', tier: 'raw', spanDays: 1 },
  { ...TIER_TABLES['5m'], kept: '5m', tier: '5m', spanDays: 31 },
  { ...TIER_TABLES['1h'], kept: '1h', tier: '1h', spanDays: 31 },
  { ...TIER_TABLES['1d'], kept: '1d', tier: '1d', spanDays: 366 },
  { table: 'batches', column: 'at', kept: 'batches', tier: 'raw', spanDays: 1 },
] as const;
type Table = (typeof TABLES)[number];

export type CleanupStore = {
  readonly engine: Engine;
  readonly mender: Mender;
  readonly ballast: Ballast;
  readonly directory: string;
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
  { engine, mender, ballast, directory, keep }: CleanupStore,
  { apply, optimize, now }: CleanupOptions,
  { onProgress, signal }: CleanupContext,
): Promise<CleanupReport> {
  const startedMs = now();
  const freeBytes = await readFreeBytes(directory);
  const tables: CleanupTable[] = [];
  let fullDays = 0;
  for (const table of TABLES) {
    signal.throwIfAborted();
    onProgress({ done: tables.length, total: TABLES.length, what: `looking at ${table.table}` });
    const keepDays = keep[table.tier];
    const look = await lookAt(engine, table, { keepDays, nowMs: startedMs });
    fullDays = Math.max(fullDays, look.fullDays);
    tables.push(look.table);
  }
  if (apply)
    for (const [i, { going }] of tables.entries()) {
      const table = TABLES[i];
      if (table === undefined || going.partitions.length === 0) continue;
      signal.throwIfAborted();
      onProgress({
        done: i,
        total: TABLES.length,
        what: `dropping ${going.partitions.length} partitions of ${table.table}`,
      });
      const pastMs = startedMs - keep[table.tier] * DAY_MS;
      await withRoom(ballast, () => mender.drop(table.table, (bare) => dropPast(bare, table.table, pastMs)));
    }
  const optimized = optimize
    ? await optimizeClosed({ engine, directory, nowMs: startedMs }, { onProgress, signal })
    : null;
  const freeBytesAfter = await readFreeBytes(directory);
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

async function readFreeBytes(directory: string): Promise<number> {
  const { bsize, bavail } = await statfs(directory);
  return bsize * bavail;
}

/** The partitions of a table, the oldest first; `lastS` is the newest instant in each. */
const selectPartitions = (
  table: string,
): string => `SELECT partition_id AS id, sum(rows) AS allRows, sum(bytes_on_disk) AS bytes, count() AS parts,
    toUnixTimestamp(max(max_time)) AS lastS
  FROM system.parts WHERE database = currentDatabase() AND table = '${table}' AND active AND rows > 0
  GROUP BY partition_id ORDER BY id`;

type Partition = {
  readonly id: string;
  readonly rows: number;
  readonly bytes: number;
  readonly parts: number;
  readonly lastMs: number;
};

async function listPartitions(engine: Engine, table: string): Promise<readonly Partition[]> {
  const rows = await engine.query(selectPartitions(table));
  return rows.map((row) => ({
    id: String(row['id']),
    rows: Number(row['allRows']),
    bytes: Number(row['bytes']),
    parts: Number(row['parts']),
    lastMs: 1000 * Number(row['lastS']),
  }));
}

function sum(list: readonly Partition[], of: 'rows' | 'bytes'): number {
  return list.reduce((all, one) => all + one[of], 0);
}

type Look = { readonly table: CleanupTable; readonly fullDays: number };

async function lookAt(
  engine: Engine,
  { table, column, kept, spanDays }: Table,
  { keepDays, nowMs }: { readonly keepDays: number; readonly nowMs: number },
): Promise<Look> {
  const all = await listPartitions(engine, table);
  const going = all.filter(({ lastMs }) => lastMs < nowMs - keepDays * DAY_MS);
  const ids = going.map(({ id }) => id);
  const [held] =
    kept === 'raw' && ids.length > 0
      ? await engine.query(
          `SELECT sum(length(offsetsMs)) AS samples FROM chunks WHERE _partition_id IN (${ids.map((id) => `'${id}'`).join(', ')})`,
        )
      : [];
  const { days, rowsADay } = await readGrowth(engine, { table, column, nowMs });
  const [rows, bytes] = [sum(all, 'rows'), sum(all, 'bytes')];
  return {
    fullDays: days,
    table: {
      kept,
      keepDays,
      rows,
      bytes,
      going: {
        partitions: ids,
        rows: sum(going, 'rows'),
        samples: Number(held?.['samples'] ?? 0),
        bytes: sum(going, 'bytes'),
      },
      projectedBytes: days === 0 ? null : Math.round((bytes / Math.max(1, rows)) * rowsADay * (keepDays + spanDays)),
    },
  };
}

type GrowthQuery = { readonly table: string; readonly column: string; readonly nowMs: number };

/** How many rows the last full days have brought on average: those before today, and after the first that has any. */
async function readGrowth(
  engine: Engine,
  { table, column, nowMs }: GrowthQuery,
): Promise<{ days: number; rowsADay: number }> {
  const toMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const fromMs = toMs - FULL_DAYS_MAX * DAY_MS;
  const [first] = await engine.query(
    `SELECT toUnixTimestamp(toStartOfDay(min(min_time))) AS firstS FROM system.parts
     WHERE database = currentDatabase() AND table = '${table}' AND active AND rows > 0`,
  );
  const firstS = Number(first?.['firstS'] ?? 0); // 0: there is nothing
  const firstFullMs = firstS === 0 ? toMs : firstS * 1000 + DAY_MS;
  const sinceMs = Math.max(fromMs, firstFullMs);
  const days = Math.max(0, Math.round((toMs - sinceMs) / DAY_MS));
  if (days === 0) return { days, rowsADay: 0 };
  const [row] = await engine.query(
    `SELECT count() AS rows FROM ${table} WHERE ${column} >= toDateTime(${sinceMs / 1000}) AND ${column} < toDateTime(${toMs / 1000})`,
  );
  return { days, rowsADay: Number(row?.['rows'] ?? 0) / days };
}

async function dropPast(engine: Engine, table: string, pastMs: number): Promise<void> {
  for (const { id, lastMs } of await listPartitions(engine, table))
    if (lastMs < pastMs) await engine.command(`ALTER TABLE ${table} DROP PARTITION ID '${id}'`);
}

type OptimizeStore = { readonly engine: Engine; readonly directory: string; readonly nowMs: number };

/** Merges what no longer grows; a merge reads and writes as it goes, so that it needs little memory however large it is. */
async function optimizeClosed({ engine, directory, nowMs }: OptimizeStore, { onProgress, signal }: CleanupContext) {
  const waiting: { readonly table: string; readonly id: string; readonly bytes: number }[] = [];
  for (const { table } of TABLES) {
    const partitions = (await listPartitions(engine, table)).slice(0, -1); // the newest may grow still
    for (const { id, bytes, parts, lastMs } of partitions)
      if (parts > 1 && lastMs < nowMs - CLOSED_MS) waiting.push({ table, id, bytes });
  }
  const skipped: string[] = [];
  for (const [done, { table, id, bytes }] of waiting.entries()) {
    signal.throwIfAborted();
    onProgress({ done, total: waiting.length, what: `merging ${id} of ${table}` });
    const isTooLarge = bytes > OPTIMIZE_BYTES_MAX || (await readFreeBytes(directory)) < 2 * bytes;
    if (isTooLarge) skipped.push(`${id} of ${table}`);
    else await engine.command(`OPTIMIZE TABLE ${table} PARTITION ID '${id}' FINAL`);
  }
  return { partitions: waiting.length - skipped.length, skipped };
}
