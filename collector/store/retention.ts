import { findKeepFault, formatKeep, type Keep, type Tier, TIERS } from '../domain/keep.ts';
import type { Engine } from './store.ts';

/** Where each tier lies, and by which column it grows old. */
export const TIER_TABLES = {
  raw: { tables: ['chunks', 'archive'], column: 'start' },
  '5m': { tables: ['rollup_5m', 'history'], column: 'ts' },
  '1h': { tables: ['rollup_1h'], column: 'ts' },
  '1d': { tables: ['rollup_1d'], column: 'ts' },
} as const satisfies Readonly<
  Record<Tier, { readonly tables: readonly [string, ...string[]]; readonly column: string }>
>;

/** What is due outlasts the samples that it is computed from, or late ones would never be rolled up. */
const DUE_DAYS_MORE = 30;

/** Every table that is kept as long as a tier is, with the instant that counts. */
const KEPT: readonly { readonly table: string; readonly from: string; readonly daysOf: (keep: Keep) => number }[] = [
  ...TIERS.flatMap((tier) =>
    TIER_TABLES[tier].tables.map((table) => ({
      table,
      from: TIER_TABLES[tier].column,
      daysOf: (keep: Keep) => keep[tier],
    })),
  ),
  { table: 'chunks_next', from: 'start', daysOf: (keep) => keep.raw },
  { table: 'archive_next', from: 'start', daysOf: (keep) => keep.raw },
  { table: 'batches', from: 'toDateTime(at)', daysOf: (keep) => keep.raw },
  { table: 'rollup_due', from: 'start', daysOf: (keep) => keep.raw + DUE_DAYS_MORE },
];

/** The engine looks this often whether a part is past its time; its own default is four hours. */
const LOOK_SECONDS = 900;

/** How long the store keeps each tier: its tables say so, whoever has it open. */
export async function readKeep(engine: Engine): Promise<Keep> {
  return keepOf(await readTables(engine));
}

/** `isSettled`: the engine looks as often as it is to. */
type Table = { readonly days: number; readonly isSettled: boolean };
/** Throws where there is no such table. */
type FindTable = (name: string) => Table;

function keepOf(find: FindTable): Keep {
  const of = (tier: Tier): number => find(TIER_TABLES[tier].tables[0]).days;
  return { raw: of('raw'), '5m': of('5m'), '1h': of('1h'), '1d': of('1d') };
}

async function readTables(engine: Engine): Promise<FindTable> {
  const rows = await engine.query(
    `SELECT name, toUInt32OrZero(extract(engine_full, 'TTL .*toIntervalDay\\\\((\\\\d+)\\\\)')) AS days,
       position(engine_full, 'merge_with_ttl_timeout = ${LOOK_SECONDS}') > 0 AS isSettled
     FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'`,
  );
  const tables = new Map(
    rows.map((row) => [String(row['name']), { days: Number(row['days']), isSettled: Number(row['isSettled']) === 1 }]),
  );
  return (name) => {
    const table = tables.get(name);
    if (table === undefined) throw new Error(`Cannot look after the store: it has no table ${name}`);
    return table;
  };
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
  const find = await readTables(engine);
  const keep = { ...keepOf(find), ...wanted };
  const fault = findKeepFault(keep);
  if (fault !== null) throw new Error(`Cannot keep ${formatKeep(keep)}: ${fault}`);
  const differing = KEPT.filter(({ table, daysOf }) => !find(table).isSettled || find(table).days !== daysOf(keep));
  if (differing.length > 0) await ensureRoom();
  for (const { table, from, daysOf } of differing) {
    const { days, isSettled } = find(table);
    if (!isSettled)
      await engine.command(
        `ALTER TABLE ${table} MODIFY SETTING merge_with_ttl_timeout = ${LOOK_SECONDS}, materialize_ttl_recalculate_only = 1`,
      );
    if (days === daysOf(keep)) continue;
    await engine.command(
      `ALTER TABLE ${table} MODIFY TTL ${from} + INTERVAL ${daysOf(keep)} DAY SETTINGS materialize_ttl_after_modify = 1`,
    );
  }
  return keep;
}
