import type { Engine } from './store.ts';

/**
 * Where a store on a server has come from. `source` names the embedded store; until all of it is there, no collector may
 * write beside it: what differs is dropped and copied anew.
 */
export type Migrated = { readonly source: string; readonly isDone: boolean };

export async function noteMigrated(engine: Engine, { source, isDone }: Migrated): Promise<void> {
  await engine.command(
    `CREATE TABLE IF NOT EXISTS migrated (source String, done UInt32, version UInt64 DEFAULT toUnixTimestamp64Micro(now64(6)))
     ENGINE = ReplacingMergeTree(version) ORDER BY source`,
  );
  await engine.insert('migrated', 1, [
    { name: 'source', type: 'String', values: [source] },
    { name: 'done', type: 'UInt32', values: [Number(isDone)] },
  ]);
}

export async function forgetMigrated(engine: Engine): Promise<void> {
  await engine.command('DROP TABLE IF EXISTS migrated SYNC');
}

/** null: it has not come from another store. */
export async function readMigrated(engine: Engine): Promise<Migrated | null> {
  const tables = await engine.query(
    `SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'migrated'`,
  );
  if (tables.length === 0) return null;
  const [row] = await engine.query('SELECT source, done FROM migrated FINAL ORDER BY version DESC LIMIT 1');
  return row === undefined ? null : { source: String(row['source']), isDone: Number(row['done']) === 1 };
}

/** Throws where a store has been copied in part. */
export async function ensureMigrated(engine: Engine): Promise<void> {
  const migrated = await readMigrated(engine);
  if (migrated === null || migrated.isDone) return;
  throw new Error(
    'Cannot open the store: only a part of another one has been copied to this database; run scripts/migrate-store.ts again, which goes on where it was',
  );
}
