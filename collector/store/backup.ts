import { rename, statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';

import {
  choosePruned,
  findChain,
  FORMAT,
  listBackups,
  makeName,
  measureTree,
  partialPath,
  removeBackup,
  removePartials,
  writeManifest,
  type Backup,
  type Manifest,
  type PartitionRecord,
} from './backup-folder.ts';
import { runOperation } from './backup-operation.ts';
import type { Compaction } from './compaction.ts';
import { BACKUP_FOLDER } from './data-fault.ts';
import { lockDirectory } from './lock.ts';
import { dropSnapshot, hashPartition, takeSnapshot, type Snapshot } from './snapshot.ts';
import type { Engine, Session } from './store.ts';
import { syncPath, syncTree } from './sync.ts';

/** After so many incremental backups a full one again: a restore needs all of a chain. With one a day it is a week. */
const INCREMENTALS_MAX = 6;
/** Left free beside what a backup may take. */
const SPARE_BYTES = 64 * 1024 * 1024;

export type BackupProgress = {
  readonly step: 'reading' | 'writing' | 'syncing';
  readonly bytesDone: number;
  readonly bytesTotal: number;
};

export type BackupOptions = {
  /** Which holds all backups of this store, and no other's. The engine must be allowed to write there. */
  readonly folder: string;
  readonly isFull: boolean;
  /** Of this Muster. */
  readonly version: string;
  readonly now: () => number;
  readonly onProgress?: (progress: BackupProgress) => void;
  readonly signal?: AbortSignal;
};

export type BackupReport = {
  readonly name: string;
  readonly parent: string | null;
  readonly rows: number;
  /** What it takes, and what the store takes that it restores to. */
  readonly bytes: number;
  readonly storeBytes: number;
  readonly tookMs: number;
};

/**
 * Backs up a store that is in use: every sample that was acknowledged before is in it, once, as soon as the restored
 * store is opened. Ingest goes on; compaction waits while the snapshot is taken, some tens of milliseconds.
 *
 * The manifest's hashes are of what the engine reads from the store's own files, before it copies them. A verification
 * hashes what an engine reads from the restored ones; so a copy that is not the store's content cannot pass. What has
 * not changed since the parent, by the checksums of its files, keeps the hash that it had then.
 *
 * A kill leaves a folder `.partial`, which the next run removes.
 */
export async function createBackup(
  { engine, compaction }: { readonly engine: Engine; readonly compaction: Compaction },
  options: BackupOptions,
): Promise<BackupReport> {
  const { folder } = options;
  const lock = await lockDirectory(folder, BACKUP_FOLDER);
  if (!lock.ok) throw new Error(lock.error);
  const session = await engine.openSession();
  try {
    await removePartials(folder);
    const backups = await listBackups(folder);
    const parent = options.isFull ? null : await findParent(folder, backups);
    const snapshot = await compaction.between(() => takeSnapshot(session));
    return await writeBackup(session, {
      ...options,
      name: makeName(options.now(), backups.at(-1)?.name),
      parent,
      snapshot,
    });
  } catch (cause) {
    await removePartials(folder).catch(() => undefined); // what is left of it takes room that may be short
    throw cause;
  } finally {
    await dropSnapshot(session).catch(() => undefined); // the next backup does, and the next start
    await session.close();
    await lock.value.release();
  }
}

/** Removes all but the newest `keep` backups and those that they stand on. */
export async function pruneBackups(folder: string, keep: number): Promise<readonly string[]> {
  const pruned = choosePruned(await listBackups(folder), keep);
  // The newest first: a kill leaves none without what it stands on.
  for (const name of pruned.toReversed()) await removeBackup(folder, name);
  return pruned;
}

/** The newest backup, where one may stand on it. */
async function findParent(folder: string, backups: readonly Backup[]): Promise<Backup | null> {
  const newest = backups.at(-1);
  const chain = newest === undefined ? null : await findChain(folder, backups, newest.name);
  return chain?.ok === true && chain.value.length <= INCREMENTALS_MAX ? (newest ?? null) : null;
}

type Writing = BackupOptions & { readonly name: string; readonly parent: Backup | null; readonly snapshot: Snapshot };

async function writeBackup(session: Session, writing: Writing): Promise<BackupReport> {
  const { folder, name, parent, snapshot, signal, now } = writing;
  const startedMs = now();
  await ensureRoom(writing);
  const partial = partialPath(folder, name);
  const tables = await hashTables(session, writing);
  await runBackup(session, writing, partial);
  const tree = await measureTree(partial);
  writing.onProgress?.({ step: 'syncing', bytesDone: 0, bytesTotal: tree.bytes });
  await syncTree(partial, signal);
  const manifest: Manifest = {
    format: FORMAT,
    muster: writing.version,
    ...(await readVersions(session)),
    parent: parent?.name ?? null,
    startedMs,
    endedMs: now(),
    ...tree,
    tables,
    views: snapshot.views,
    verifiedMs: null,
  };
  await writeManifest(partial, manifest);
  await rename(partial, join(folder, name));
  await syncPath(folder);
  return {
    name,
    parent: manifest.parent,
    rows: snapshot.rows,
    bytes: tree.bytes,
    storeBytes: snapshot.bytes,
    tookMs: manifest.endedMs - startedMs,
  };
}

/** What a parent has of the same files. */
function findKnown(parent: Backup | null, table: string, id: string, mark: string): PartitionRecord | null {
  const known = parent?.manifest.tables[table]?.[id];
  return known?.mark === mark ? known : null;
}

async function ensureRoom({ folder, parent, snapshot }: Writing): Promise<void> {
  const neededBytes = snapshot.partitions
    .filter(({ table, id, mark }) => findKnown(parent, table, id, mark) === null)
    .reduce((sum, { bytes }) => sum + bytes, SPARE_BYTES);
  const { bsize, bavail } = await statfs(folder);
  if (bavail * bsize >= neededBytes) return;
  throw new Error(
    `Cannot back up to ${folder}: it may take ${neededBytes} bytes, and ${bavail * bsize} are free; free some, keep fewer backups (--backup-keep), or choose another place (--backup-to)`,
  );
}

async function hashTables(session: Session, writing: Writing): Promise<Manifest['tables']> {
  const { parent, snapshot, onProgress, signal } = writing;
  const { database } = snapshot;
  const found: Record<string, Record<string, PartitionRecord>> = Object.fromEntries(
    snapshot.tables.map((table) => [table, {}]),
  );
  let bytesDone = 0;
  for (const { table, id, rows, bytes, mark } of snapshot.partitions) {
    signal?.throwIfAborted();
    const known = findKnown(parent, table, id, mark);
    const read = known ?? (await hashPartition(session, { database, table, id }));
    if (read.rows !== rows)
      throw new Error(`Cannot back up ${table}: partition ${id} has ${rows} rows, and ${read.rows} were read`);
    (found[table] ??= {})[id] = { rows, bytes, hash: read.hash, mark };
    bytesDone += bytes;
    onProgress?.({ step: 'reading', bytesDone, bytesTotal: snapshot.bytes });
  }
  return found;
}

/** Has the engine copy the snapshot. */
async function runBackup(session: Session, writing: Writing, partial: string): Promise<void> {
  const { parent, snapshot, onProgress, signal } = writing;
  const { database, source, tables, views } = snapshot;
  const elements = [
    ...tables.map((table) => `TABLE ${database}.${table} AS ${source}.${table}`),
    ...views.map((view) => `TABLE ${source}.${view}`),
  ];
  // By names alone: the engine looks for them where it is allowed to, wherever the folder has moved to since.
  const base = parent === null ? '' : `SETTINGS base_backup = File('${parent.name}')`;
  await runOperation(session, `BACKUP ${elements.join(', ')} TO File('${basename(partial)}') ${base}`, {
    ...(signal === undefined ? {} : { signal }),
    // While it writes, the engine has for the size of the backup what is in it so far.
    onLook: (_read, bytes) =>
      onProgress?.({ step: 'writing', bytesDone: Math.min(bytes, snapshot.bytes), bytesTotal: snapshot.bytes }),
  });
}

async function readVersions(session: Session): Promise<Pick<Manifest, 'schema' | 'engine'>> {
  const [row] = await session.query('SELECT version() AS engine, toUInt32(max(number)) AS schema FROM migrations');
  return { engine: String(row?.['engine']), schema: Number(row?.['schema']) };
}
