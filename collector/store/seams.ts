import { type Keep, type Tier, TIERS } from '../domain/keep.ts';
import { TIER_TABLES } from './retention.ts';
import type { Engine } from './store.ts';

const DAY_MS = 86_400_000;

/** How far apart the points of a tier are; of samples nobody knows. */
export const PERIOD_MS: Readonly<Record<Tier, number>> = { raw: 0, '5m': 300_000, '1h': 3_600_000, '1d': DAY_MS };

/** How long tiers are kept, and when that is asked. */
export type Kept = { readonly keep: Keep; readonly nowMs: number };

/** From which instant on each tier holds all that there was, always the start of a day; Infinity where it holds nothing. */
export type Held = Readonly<Record<Tier, number>>;

/**
 * Reads what each tier still holds. A day that is past its time in part does not count, for its parts go one by one; what
 * was dropped by hand were whole days. `isTold`: the past of some host was told.
 */
export async function readHeld(
  engine: Engine,
  { keep, nowMs }: Kept,
): Promise<{ readonly held: Held; readonly isTold: boolean }> {
  const rows = await engine.query(
    `SELECT table, toUnixTimestamp(min(min_time)) AS firstS FROM system.parts
     WHERE database = currentDatabase() AND active AND rows > 0 GROUP BY table`,
  );
  const firsts = new Map(rows.map((row) => [String(row['table']), Number(row['firstS']) * 1000]));
  if (TIER_TABLES.raw.tables.every((table) => !firsts.has(table))) {
    // In the first seconds of a store there are no samples but those that have just arrived; beside a past, perhaps.
    const [row] = await engine.query('SELECT count() AS rows, toUnixTimestamp(min(start)) AS firstS FROM arrivals');
    if (Number(row?.['rows']) > 0) firsts.set(TIER_TABLES.raw.tables[0], Number(row?.['firstS']) * 1000);
  }
  const heldSince = (tier: Tier): number => {
    const firstMs = Math.min(...TIER_TABLES[tier].tables.map((table) => firsts.get(table) ?? Infinity));
    if (firstMs === Infinity) return Infinity;
    return Math.max(Math.ceil((nowMs - keep[tier] * DAY_MS) / DAY_MS), Math.floor(firstMs / DAY_MS)) * DAY_MS;
  };
  const held = { raw: heldSince('raw'), '5m': heldSince('5m'), '1h': heldSince('1h'), '1d': heldSince('1d') };
  return { held, isTold: firsts.has('history') };
}

export type Range = { readonly fromMs: number; readonly toMs: number };
export type Segment = Range & { readonly tier: Tier };

/**
 * Which tiers answer a range: `tier` as far back as it holds anything, and before that the next that holds more. They
 * meet at starts of days, which are starts of periods of every tier, so that nothing is missing there or there twice. The
 * oldest comes first.
 */
export function chooseSegments(tier: Tier, { fromMs, toMs }: Range, held: Held): readonly [Segment, ...Segment[]] {
  const coarser = TIERS.slice(TIERS.indexOf(tier) + 1).find((one) => held[one] < held[tier]);
  if (coarser === undefined || held[tier] <= fromMs) return [{ tier, fromMs, toMs }];
  if (held[tier] >= toMs) return chooseSegments(coarser, { fromMs, toMs }, held);
  return [...chooseSegments(coarser, { fromMs, toMs: held[tier] }, held), { tier, fromMs: held[tier], toMs }];
}
