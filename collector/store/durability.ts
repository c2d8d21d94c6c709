import { dirname } from 'node:path';

import type { Engine } from './store.ts';
import { makePartSync, syncPath, syncTree } from './sync.ts';

/**
 * What an acknowledgement outlives. `process`: a kill of the collector, at any moment; what the kernel had not yet
 * written (half a minute at most by default) goes with the power. `power-loss`: that as well.
 */
export type Durability = 'process' | 'power-loss';

export const DURABILITIES: readonly Durability[] = ['process', 'power-loss'];

/**
 * Settings of every table. `old_parts_lifetime`: how long the engine keeps the parts from which it has merged another, in
 * seconds; the embedded engine's own default is not at all. 20: long enough for a mender that looks every second, short
 * enough for their number. 480: what was merged is on the disk for certain before what it was merged from goes.
 * Suspicious are parts that a power cut has left torn: none of them was acknowledged, and the engine would not open a
 * table that has more of them than its own default allows.
 */
const SETTINGS = {
  process: { old_parts_lifetime: 20 },
  'power-loss': {
    old_parts_lifetime: 480,
    fsync_after_insert: 1,
    fsync_part_directory: 1,
    min_rows_to_fsync_after_merge: 1,
    min_compressed_bytes_to_fsync_after_merge: 1,
    max_suspicious_broken_parts: 10_000,
    max_suspicious_broken_parts_bytes: 1_099_511_627_776,
  },
} as const satisfies Record<Durability, Readonly<Record<string, number>>>;

/** How long the parts stay from which another was merged, or that were dropped. */
export function oldPartsMs(durability: Durability): number {
  return 1000 * SETTINGS[durability].old_parts_lifetime;
}

/** What the tables are set to: a program that opens the store of a collector for a while leaves it so. */
export async function readDurability(engine: Engine): Promise<Durability> {
  const [row] = await engine.query(
    `SELECT count() AS tables FROM system.tables WHERE database = currentDatabase() AND position(engine_full, 'fsync_after_insert = 1') > 0`,
  );
  return Number(row?.['tables'] ?? 0) > 0 ? 'power-loss' : 'process';
}

/**
 * Brings every table to the settings of a mode. Call it when the schema is there. `ensureRoom` throws when the disk has
 * none: the engine writes a table's description over the old one, and does not notice when that fails. True: something
 * was changed.
 */
export async function applyDurability(
  engine: Engine,
  durability: Durability,
  ensureRoom: () => Promise<void>,
): Promise<boolean> {
  const tables = await engine.query(
    `SELECT name, engine_full AS full FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'`,
  );
  const wanted = Object.entries(SETTINGS[durability]);
  const unwanted = Object.keys(SETTINGS['power-loss']).filter((name) => !(name in SETTINGS[durability]));
  const changes: string[] = [];
  for (const { name, full } of tables) {
    const found = new Set(String(full).match(/\w+ = \d+/g));
    const missing = wanted.map(([setting, value]) => `${setting} = ${value}`).filter((one) => !found.has(one));
    const left = unwanted.filter((setting) => [...found].some((one) => one.startsWith(`${setting} = `)));
    if (missing.length > 0) changes.push(`ALTER TABLE ${String(name)} MODIFY SETTING ${missing.join(', ')}`);
    if (left.length > 0) changes.push(`ALTER TABLE ${String(name)} RESET SETTING ${left.join(', ')}`);
  }
  if (changes.length > 0) await ensureRoom();
  for (const change of changes) await engine.command(change);
  return changes.length > 0;
}

/**
 * What makes parts that were attached to a table outlive a power cut: they are hard links of parts that are on the disk, and
 * the engine puts neither the links there nor the small files that it adds. Without it what they took the place of could be
 * gone, and they not there.
 */
export async function makeTableSync(
  engine: Engine,
  durability: Durability,
  table: string,
): Promise<() => Promise<void>> {
  if (durability === 'process') return async () => undefined;
  const [row] = await engine.query(
    `SELECT data_paths[1] AS path FROM system.tables WHERE database = currentDatabase() AND name = '${table}'`,
  );
  return makePartSync(String(row?.['path']));
}

/** Puts a whole data directory on the disk when its tables have come to that mode: what was stored before, and its name. */
export async function syncStore(directory: string, durability: Durability): Promise<void> {
  if (durability === 'process') return;
  await syncTree(directory);
  await syncPath(dirname(directory));
}
