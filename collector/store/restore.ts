import { mkdir, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

import { findChain, listBackups, writeManifest, type Manifest } from './backup-folder.ts';
import { runOperation } from './backup-operation.ts';
import { BACKUP_FOLDER } from './data-fault.ts';
import { openEmbedded } from './embedded.ts';
import { WITHOUT_MERGES } from './engine-settings.ts';
import { lockDirectory } from './lock.ts';
import { makeDirectory } from './make-directory.ts';
import { migrate, MIGRATIONS } from './migrations.ts';
import { hashPartition } from './snapshot.ts';
import { loadState } from './state.ts';
import type { Session } from './store.ts';
import { syncPath, syncTree } from './sync.ts';

/** Left free beside what is restored. */
const SPARE_BYTES = 64 * 1024 * 1024;
/** Where a store is restored to before it is put in its place. A directory that holds this is not opened. */
const RESTORING = 'restoring';
/** Where a store goes that was there before: to a directory of this name, and the instant. */
const ASIDE = 'replaced-';

export type RestoreProgress = {
  readonly step: 'restoring' | 'comparing' | 'syncing';
  readonly bytesDone: number;
  readonly bytesTotal: number;
};

export type RestoreOptions = {
  readonly folder: string;
  readonly name: string;
  readonly now: () => number;
  readonly onProgress?: (progress: RestoreProgress) => void;
  readonly signal?: AbortSignal;
};

export type RestoreReport = {
  readonly name: string;
  readonly chain: readonly string[];
  readonly tables: number;
  readonly partitions: number;
  readonly rows: number;
  readonly tookMs: number;
  /** Where the store went that was there before. */
  readonly movedTo: string | null;
};

/**
 * Restores a backup to a scratch place beside it with an engine of its own, and compares every partition with what the
 * manifest says was read from the store. Marks it as verified. Throws, naming what differs, where it is not the same.
 */
export async function verifyBackup(options: RestoreOptions): Promise<RestoreReport> {
  const { folder, name, now } = options;
  const startedMs = now();
  const { manifest, chain } = await requireChain(folder, name);
  const scratch = join(folder, 'scratch');
  const lock = await lockDirectory(scratch, BACKUP_FOLDER);
  if (!lock.ok) throw new Error(lock.error);
  try {
    const report = await restoreInto(scratch, manifest, options);
    await writeManifest(join(folder, name), { ...manifest, verifiedMs: now() });
    return { ...report, chain, tookMs: now() - startedMs, movedTo: null };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * Restores a backup as the store of a data directory that no collector holds. Nothing of what is there is touched before
 * all has been restored beside it and compared; then it is moved aside, where `isReplacing` allows that. The access key
 * stays as it is, or is made by the next start: a backup holds none.
 */
export async function restoreBackup(
  directory: string,
  options: RestoreOptions & { readonly isReplacing: boolean },
): Promise<RestoreReport> {
  const { folder, name, isReplacing, now } = options;
  const startedMs = now();
  const { manifest, chain } = await requireChain(folder, name);
  const lock = await lockDirectory(directory);
  if (!lock.ok) throw new Error(lock.error);
  try {
    const place = join(directory, 'clickhouse');
    const isTaken = await isThere(place);
    if (isTaken && !isReplacing)
      throw new Error(
        `Cannot restore to ${directory}: it has a store; say --replace to move that one aside, or choose another directory with --data`,
      );
    const restoring = join(directory, RESTORING);

    const report = await prepareRestored(restoring, manifest, options);
    const aside = join(directory, `${ASIDE}${new Date(now()).toISOString().replaceAll(/[-:]|\.\d+/g, '')}`);
    if (isTaken) {
      await mkdir(aside, { mode: 0o700 });
      // With what it has not put into its tables yet, which is no part of the one that takes its place.
      for (const part of ['clickhouse', 'incoming'])
        if (await isThere(join(directory, part))) await rename(join(directory, part), join(aside, part));
      await syncPath(aside);
    }
    await rename(join(restoring, 'clickhouse'), place);
    await syncPath(directory);
    // Only now: as long as this is there, nobody opens the directory.
    await rm(restoring, { recursive: true });
    await syncPath(directory);
    const movedTo = isTaken ? aside : null;
    return { ...report, chain, tookMs: now() - startedMs, movedTo };
  } finally {
    await lock.value.release();
  }
}

/** Restores to a directory and puts it on the disk, or leaves nothing. */
async function prepareRestored(restoring: string, manifest: Manifest, options: RestoreOptions) {
  try {
    const report = await restoreInto(restoring, manifest, options);
    await syncTree(join(restoring, 'clickhouse'), options.signal);
    return report;
  } catch (cause) {
    await rm(restoring, { recursive: true, force: true });
    throw cause;
  }
}

/** Throws, saying what helps, where a data directory is one whose restore was not finished. */
export async function ensureRestored(directory: string): Promise<void> {
  const restoring = join(directory, RESTORING);
  if (!(await isThere(restoring))) return;
  throw new Error(
    `Cannot open the data directory ${directory}: a restore to it was not finished; restore again, or ${await adviseOnRestoring(directory)}`,
  );
}

/** What else than another restore helps, by where a kill may have left the store that was there before. */
async function adviseOnRestoring(directory: string): Promise<string> {
  const restoring = join(directory, RESTORING);
  if (await isThere(join(directory, 'clickhouse'))) return `delete ${restoring} to go on with the store that is there`;
  for (const name of (await readdir(directory)).toSorted().toReversed()) {
    const former = join(directory, name);
    if (name.startsWith(ASIDE) && (await isThere(join(former, 'clickhouse'))))
      return `move what is in ${former} back to ${directory} and delete ${restoring} to go on with the store that was there before`;
  }
  return `delete ${restoring} to begin with an empty store`;
}

type Chain = { readonly manifest: Manifest; readonly chain: readonly string[] };

async function requireChain(folder: string, name: string): Promise<Chain> {
  const found = await findChain(folder, await listBackups(folder), name);
  if (!found.ok) throw new Error(`Cannot restore ${name}: ${found.error}`);
  const manifest = found.value.at(-1)?.manifest;
  if (manifest === undefined) throw new Error('A chain has the backup that was asked for at its end');
  const known = MIGRATIONS.at(-1)?.number ?? 0;
  if (manifest.schema > known)
    throw new Error(
      `Cannot restore ${name}: its schema is version ${manifest.schema}, this Muster knows up to ${known}; install the newer Muster first`,
    );
  return { manifest, chain: found.value.map((link) => link.name) };
}

/** Restores to a directory that is emptied first. Gives it back closed, compared, and with a schema that opens. */
async function restoreInto(directory: string, manifest: Manifest, options: RestoreOptions) {
  const { folder, name, now, onProgress, signal } = options;
  const partitions = Object.values(manifest.tables).flatMap((table) => Object.values(table));
  const bytesTotal = partitions.reduce((sum, { bytes }) => sum + bytes, 0);
  await rm(join(directory, 'clickhouse'), { recursive: true, force: true });
  await makeDirectory(directory);
  const { bsize, bavail } = await statfs(directory);
  if (bavail * bsize < bytesTotal + SPARE_BYTES)
    throw new Error(
      `Cannot restore ${name} in ${directory}: it takes ${bytesTotal + SPARE_BYTES} bytes, and ${bavail * bsize} are free`,
    );
  const engine = await openEmbedded(directory, { ...WITHOUT_MERGES, 'backups/allowed_path': folder });
  try {
    onProgress?.({ step: 'restoring', bytesDone: 0, bytesTotal });
    const elements = [...Object.keys(manifest.tables), ...manifest.views].map((table) => `TABLE muster.${table}`);
    const session = await engine.openSession();
    await runOperation(session, `RESTORE ${elements.join(', ')} FROM File('${name}')`, {
      ...(signal === undefined ? {} : { signal }),
      onLook: (bytesDone) =>
        onProgress?.({ step: 'restoring', bytesDone: Math.min(bytesDone, bytesTotal), bytesTotal }),
    });
    let bytesDone = 0;
    const difference = await findDifference(session, manifest, (bytes) => {
      signal?.throwIfAborted();
      bytesDone += bytes;
      onProgress?.({ step: 'comparing', bytesDone, bytesTotal });
    });
    if (difference !== null)
      throw new Error('it does not restore to what the store held; choose another one', { cause: difference });
    await migrate(engine);
    await loadState(engine, now);
    await engine.query('SELECT * FROM samples LIMIT 1');
  } catch (cause) {
    signal?.throwIfAborted();
    throw new Error(`Cannot restore ${name}`, { cause });
  } finally {
    await engine.close();
  }
  return {
    name,
    tables: Object.keys(manifest.tables).length,
    partitions: partitions.length,
    rows: partitions.reduce((sum, { rows }) => sum + rows, 0),
  };
}

/** What is not as the manifest says; null: it is the same. */
async function findDifference(
  session: Session,
  manifest: Manifest,
  onCompared: (bytes: number) => void,
): Promise<string | null> {
  const found = await session.query(
    'SELECT DISTINCT table, partition_id AS id FROM system.parts WHERE database = currentDatabase() AND active',
  );
  for (const row of found) {
    const [table, id] = [String(row['table']), String(row['id'])];
    if (manifest.tables[table]?.[id] === undefined) return `partition ${id} of ${table} was not in the store`;
  }
  for (const [table, partitions] of Object.entries(manifest.tables)) {
    for (const [id, { rows, hash, bytes }] of Object.entries(partitions)) {
      const read = await hashPartition(session, { database: 'muster', table, id });
      if (read.rows !== rows || read.hash !== hash)
        return `partition ${id} of ${table} has ${read.rows} rows of hash ${read.hash}, in the store it had ${rows} of ${hash}`;
      onCompared(bytes);
    }
  }
  return null;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
