import type { Engine, Session } from './store.ts';

/** A partition of a table of a snapshot, and what it holds. */
export type SnapshotPartition = {
  readonly table: string;
  readonly id: string;
  readonly rows: number;
  readonly bytes: number;
  /** Says which files these are: equal where none was added, merged or dropped. */
  readonly mark: string;
};

export type Snapshot = {
  /** The database that holds it, and the one that it shows. */
  readonly database: string;
  readonly source: string;
  readonly tables: readonly string[];
  readonly views: readonly string[];
  readonly partitions: readonly SnapshotPartition[];
  /** Of all partitions. */
  readonly rows: number;
  readonly bytes: number;
};

/**
 * The order in which tables are taken while others write. What is written last is taken first: what has
 * arrived has its events in the snapshot, an hour that is said to be done has its rollup, and a token its host. What is not
 * named here comes last.
 */
const ORDER =
  'arrivals quarantine events batches chunks_next archive_next archive chunks rollup_due rollup_5m rollup_1h rollup_1d sessions host_tokens hosts enrolment_tokens'.split(
    ' ',
  );

/**
 * Takes a snapshot of every table: a table of the same parts, by hard links, that nothing changes. Call it while nothing
 * is compacted; then what is in it is a state that a kill could have left. A few milliseconds a table.
 */
export async function takeSnapshot(session: Session): Promise<Snapshot> {
  const [place] = await session.query('SELECT currentDatabase() AS name');
  const source = String(place?.['name']);
  const database = `${source}_backup`;
  await dropSnapshot(session);
  await session.command(`CREATE DATABASE ${database}`);
  const rows = await session.query(
    `SELECT name, engine = 'View' AS isView FROM system.tables
     WHERE database = currentDatabase() AND (engine LIKE '%MergeTree' OR engine = 'View') ORDER BY name`,
  );
  const names = rows.filter((row) => Number(row['isView']) === 0).map((row) => String(row['name']));
  const tables = names.toSorted((a, b) => placeOf(a) - placeOf(b));
  for (const table of tables) {
    await session.command(`CREATE TABLE ${database}.${table} CLONE AS ${source}.${table}`);
    await session.command(`SYSTEM STOP MERGES ${database}.${table}`);
  }
  const partitions = await listPartitions(session, database);
  return {
    database,
    source,
    tables,
    views: rows.filter((row) => Number(row['isView']) === 1).map((row) => String(row['name'])),
    partitions,
    rows: partitions.reduce((sum, { rows: more }) => sum + more, 0),
    bytes: partitions.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

function placeOf(table: string): number {
  const place = ORDER.indexOf(table);
  return place < 0 ? ORDER.length : place;
}

/** Drops a snapshot, also one that a kill has left: it would hold on to the disk what the store has long dropped. */
export async function dropSnapshot(engine: Pick<Engine, 'query' | 'command'>): Promise<void> {
  const [place] = await engine.query('SELECT currentDatabase() AS name');
  await engine.command(`DROP DATABASE IF EXISTS ${String(place?.['name'])}_backup SYNC`);
}

export async function listPartitions(session: Session, database: string): Promise<readonly SnapshotPartition[]> {
  const rows = await session.query(
    `SELECT table, partition_id AS id, sum(rows) AS rows, sum(bytes_on_disk) AS bytes,
       lower(hex(sipHash128(arraySort(groupArray(hash_of_all_files))))) AS mark
     FROM system.parts WHERE database = '${database}' AND active GROUP BY table, id ORDER BY table, id`,
  );
  return rows.map((row) => ({
    table: String(row['table']),
    id: String(row['id']),
    rows: Number(row['rows']),
    bytes: Number(row['bytes']),
    mark: String(row['mark']),
  }));
}

/**
 * A hash of what the rows of a partition say, in whatever order and parts they are. Reads all of them. Nothing is bound:
 * what binds a value runs alone in the whole process. An id is of the engine's making, or of a manifest that was looked at.
 */
export async function hashPartition(
  session: Session,
  { database, table, id }: { readonly database: string; readonly table: string; readonly id: string },
): Promise<{ readonly rows: number; readonly hash: string }> {
  const [row] = await session.query(
    `SELECT count() AS rows, lower(hex(sum(sipHash64(*)))) AS hash FROM ${database}.${table}
     WHERE _partition_id = '${id}' SETTINGS max_threads = 1`,
  );
  return { rows: Number(row?.['rows']), hash: String(row?.['hash']) };
}
