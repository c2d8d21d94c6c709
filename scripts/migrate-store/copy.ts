import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';

import type { ServerEngine } from '@muster/collector/store/server';
import type { Engine } from '@muster/collector/store/store';

/** A part of a table that is copied at once. `bytes`: on the disk of the source. */
export type Partition = { readonly table: string; readonly id: string; readonly bytes: number };

/** What a partition holds, the same before merges and after. */
export type Content = { readonly rows: number; readonly hash: string };

/** What belongs to a running collector alone, or is written by every start. */
const NOT_COPIED = ['arrivals', 'chunks_next', 'archive_next', 'history_next', 'migrations', 'migrated'];

const IS_OURS = `database = currentDatabase() AND table NOT IN (${NOT_COPIED.map((table) => `'${table}'`).join(', ')})`;

/** All partitions of a store in which there is anything, the small tables first. */
export async function listPartitions(engine: Engine): Promise<readonly Partition[]> {
  const rows = await engine.query(
    `SELECT table, partition_id AS id, toFloat64(sum(bytes_on_disk)) AS bytes FROM system.parts
     WHERE ${IS_OURS} AND active AND rows > 0 GROUP BY table, id ORDER BY sum(bytes) OVER (PARTITION BY table), table, id`,
  );
  return rows.map((row) => ({ table: String(row['table']), id: String(row['id']), bytes: Number(row['bytes']) }));
}

export async function readContent(engine: Engine, { table, id }: Partition): Promise<Content> {
  const columns = (await listColumns(engine, table)).join(', ');
  // Rows of chunks with one key are joined by a merge, in any order; of all other tables the last of a key counts.
  const source =
    table === 'chunks'
      ? `count() AS rows, toString(sum(cityHash64(metric, host, labels, start, offset, value))) AS hash
         FROM chunks ARRAY JOIN offsetsMs AS offset, values AS value`
      : `count() AS rows, toString(sum(cityHash64(${columns}))) AS hash FROM ${table} ${finalOf(table)}`;
  // Nothing is bound: what is bound is what people ask, which has limits.
  const [row] = await engine.query(`SELECT ${source} WHERE _partition_id = '${id}'`);
  return { rows: Number(row?.['rows']), hash: String(row?.['hash']) };
}

/** Of samples all rows count. */
function finalOf(table: string): string {
  return table === 'chunks' || table === 'archive' ? '' : 'FINAL';
}

export type CopyOptions = {
  readonly from: Engine;
  readonly to: ServerEngine;
  /** A file for one partition at a time. */
  readonly file: string;
};

/**
 * Copies a partition unless it is there whole; one that is there in part, or differs, is dropped first. Throws when what has
 * arrived is not what was sent.
 */
export async function copyPartition({ from, to, file }: CopyOptions, partition: Partition): Promise<Content> {
  const { table, id } = partition;
  const content = await readContent(from, partition);
  const there = await readContent(to, partition);
  if (there.rows === content.rows && there.hash === content.hash) return content;
  await to.command(`ALTER TABLE ${table} DROP PARTITION ID '${id}'`);
  const columns = await listColumns(from, table);
  await rm(file, { force: true });
  try {
    await from.command(
      `INSERT INTO FUNCTION file('${file.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}', 'Native')
       SELECT ${columns.join(', ')} FROM ${table} ${finalOf(table)} WHERE _partition_id = '${id}'`,
    );
    await to.insertNative(table, columns, createReadStream(file));
  } finally {
    await rm(file, { force: true });
  }
  const arrived = await readContent(to, partition);
  if (arrived.rows === content.rows && arrived.hash === content.hash) return content;
  throw new Error(
    `Cannot copy ${table}, partition ${id}: ${content.rows} rows (${content.hash}) were sent and ${arrived.rows} (${arrived.hash}) are there; run this again, and if it stays so, look at the log of the server`,
  );
}

/** Empties all that would be copied to, and nothing else: a database may have tables of others. */
export async function emptyStore(engine: Engine, from: Engine): Promise<void> {
  const rows = await from.query(
    `SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'
     AND name NOT IN ('migrations', 'migrated')`,
  );
  for (const { name } of rows) await engine.command(`TRUNCATE TABLE ${String(name)}`);
}

async function listColumns(engine: Engine, table: string): Promise<readonly string[]> {
  const rows = await engine.query(
    `SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '${table}'
     AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY position`,
  );
  return rows.map((row) => String(row['name']));
}
