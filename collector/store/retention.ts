import { findKeepFault, formatKeep, type Keep, KEEP_DEFAULT, type Tier, TIERS } from '../domain/keep.ts';
import type { Engine } from './store.ts';

/** Where each tier lies, and by which column it grows old. */
export const TIER_TABLES = {
  raw: { tables: ['chunks', 'archive'], column: 'start' },
  '5m': { tables: ['rollup_5m'], column: 'ts' },
  '1h': { tables: ['rollup_1h'], column: 'ts' },
  '1d': { tables: ['rollup_1d'], column: 'ts' },
} as const satisfies Readonly<
  Record<Tier, { readonly tables: readonly [string, ...string[]]; readonly column: string }>
>;

/** What is due outlasts the samples that it is computed from, or late ones would never be rolled up. */
const DUE_DAYS_MORE = 30;

/** Every table that is kept as long as a tier is, with the instant that counts. */
const KEPT: readonly { readonly table: string; readonly from: string; readonly days: (keep: Keep) => number }[] = [
  ...TIERS.flatMap((tier) =>
    TIER_TABLES[tier].tables.map((table) => ({
      table,
      from: TIER_TABLES[tier].column,
      days: (keep: Keep) => keep[tier],
    })),
  ),
  { table: 'chunks_next', from: 'start', days: (keep) => keep.raw },
  { table: 'archive_next', from: 'start', days: (keep) => keep.raw },
  { table: 'batches', from: 'toDateTime(at)', days: (keep) => keep.raw },
  { table: 'rollup_due', from: 'start', days: (keep) => keep.raw + DUE_DAYS_MORE },
];

/** The engine looks this often whether a part is past its time; its own default is four hours. */
const LOOK_SECONDS = 900;

/** How long the store keeps each tier: its tables say so, whoever has it open. */
export async function readKeep(engine: Engine): Promise<Keep> {
  const days = await readDays(engine);
  const of = (tier: Tier): number => days.get(TIER_TABLES[tier].tables[0]) ?? KEEP_DEFAULT[tier];
  return { raw: of('raw'), '5m': of('5m'), '1h': of('1h'), '1d': of('1d') };
}

async function readDays(engine: Engine): Promise<ReadonlyMap<string, number>> {
  const rows = await engine.query(
    `SELECT name, toUInt32OrZero(extract(engine_full, 'TTL .*toIntervalDay\\\\((\\\\d+)\\\\)')) AS days
     FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'`,
  );
  return new Map(rows.map((row) => [String(row['name']), Number(row['days'])]));
}

/**
 * Has the store keep each tier for so many days from now on; tiers that are not named as long as before. Changes nothing
 * where nothing differs. Throws what is wrong with the days. `ensureRoom` throws when the disk has none: the engine writes
 * a table's description over the old one.
 *
 * Every part holds the instant at which its rows are past their time, and the engine goes by that, not by the table: what
 * is there already would go at the old instant, later or far too early. So it is computed anew, which reads one column.
 */
export async function applyKeep(
  engine: Engine,
  wanted: Partial<Keep>,
  ensureRoom: () => Promise<void> = async () => undefined,
): Promise<Keep> {
  const keep = { ...(await readKeep(engine)), ...wanted };
  const fault = findKeepFault(keep);
  if (fault !== null) throw new Error(`Cannot keep ${formatKeep(keep)}: ${fault}`);
  const days = await readDays(engine);
  const looking = await engine.query(
    `SELECT name FROM system.tables WHERE database = currentDatabase()
     AND position(engine_full, 'merge_with_ttl_timeout = ${LOOK_SECONDS}') > 0`,
  );
  const settled = new Set(looking.map(({ name }) => String(name)));
  const differing = KEPT.filter((one) => days.get(one.table) !== one.days(keep) || !settled.has(one.table));
  if (differing.length > 0) await ensureRoom();
  for (const one of differing) {
    if (!settled.has(one.table))
      await engine.command(
        `ALTER TABLE ${one.table} MODIFY SETTING merge_with_ttl_timeout = ${LOOK_SECONDS}, materialize_ttl_recalculate_only = 1`,
      );
    if (days.get(one.table) === one.days(keep)) continue;
    await engine.command(
      `ALTER TABLE ${one.table} MODIFY TTL ${one.from} + INTERVAL ${one.days(keep)} DAY SETTINGS materialize_ttl_after_modify = 1`,
    );
  }
  return keep;
}
