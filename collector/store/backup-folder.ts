import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import * as v from 'valibot';

import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

import { syncPath } from './sync.ts';

const COUNT = v.pipe(v.number(), v.integer(), v.minValue(0));
/** Tables, views and ids of partitions stand in statements: a file from outside may name nothing else there. */
const NAME_IN_SQL = v.pipe(v.string(), v.regex(/^\w+$/));
const ID_IN_SQL = v.pipe(v.string(), v.regex(/^[\w-]+$/));
const NAME = /^\d{8}T\d{6}Z$/;

/** Rows and a hash of their content, which knows no order; `mark` says which files they are in. */
const PARTITION_RECORD = v.object({ rows: COUNT, bytes: COUNT, hash: v.string(), mark: v.string() });
export type PartitionRecord = Readonly<v.InferOutput<typeof PARTITION_RECORD>>;

export const FORMAT = 1;

const MANIFEST_SCHEMA = v.object({
  format: v.literal(FORMAT),
  /** Of the Muster, its schema, and the engine that wrote it. */
  muster: v.string(),
  schema: COUNT,
  engine: v.string(),
  /** The backup whose files this one does not repeat; null: it is full. */
  parent: v.nullable(v.pipe(v.string(), v.regex(NAME))),
  startedMs: COUNT,
  endedMs: COUNT,
  /** Of the folder, without the manifest. */
  files: COUNT,
  bytes: COUNT,
  /** Tables, each with its partitions by their ids. */
  tables: v.record(NAME_IN_SQL, v.record(ID_IN_SQL, PARTITION_RECORD)),
  views: v.pipe(v.array(NAME_IN_SQL), v.readonly()),
  /** When it was last restored and compared. */
  verifiedMs: v.nullable(COUNT),
});

/** What a backup says of itself. The last file that is written: a folder without it is none. */
export type Manifest = v.InferOutput<typeof MANIFEST_SCHEMA>;

export type Backup = { readonly name: string; readonly manifest: Manifest };

const MANIFEST = 'manifest.json';
const PARTIAL = '.partial';

/** A name by the clock (UTC), later than that of every backup there is, so that their order is that of their making. */
export function makeName(nowMs: number, newest: string | undefined): string {
  const afterMs =
    newest === undefined ? 0 : Date.parse(newest.replace(/(..)(..)T(..)(..)(..)Z/, '-$1-$2T$3:$4:$5Z')) + 1_000;
  return new Date(Math.max(nowMs, afterMs)).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}

/** Nothing else reaches a path. */
export function parseName(text: string): Result<string, string> {
  return NAME.test(text)
    ? ok(text)
    : err(`"${text}" is no name of a backup; they look like 20261122T030000Z, and list shows them`);
}

export function partialPath(folder: string, name: string): string {
  return join(folder, `${name}${PARTIAL}`);
}

/** The whole backups in a folder, the oldest first; none where there is no such folder. */
export async function listBackups(folder: string): Promise<readonly Backup[]> {
  const found: Backup[] = [];
  for (const name of (await readNames(folder)).toSorted()) {
    const manifest = NAME.test(name) ? await readManifest(join(folder, name)) : null;
    if (manifest !== null) found.push({ name, manifest });
  }
  return found;
}

/** Removes what a kill has left of backups that were never finished. */
export async function removePartials(folder: string): Promise<void> {
  for (const name of await readNames(folder))
    if (name.endsWith(PARTIAL) && NAME.test(name.slice(0, -PARTIAL.length)))
      await rm(join(folder, name), { recursive: true, force: true });
}

/**
 * A backup and those that it stands on, of the backups in a folder, the full one first. An error says which of them is
 * missing, or is not what it was when it was made, as far as names and sizes tell.
 */
export async function findChain(
  folder: string,
  backups: readonly Backup[],
  name: string,
): Promise<Result<readonly Backup[], string>> {
  const byName = new Map(backups.map((backup) => [backup.name, backup]));
  const chain: Backup[] = [];
  for (let link: string | null = name; link !== null;) {
    const backup = byName.get(link);
    if (backup === undefined && link === name)
      return err(`There is no backup ${name} in ${folder}; list shows those that there are`);
    if (backup === undefined) return err(`Backup ${link} is missing in ${folder}${describeUse(link, name)}`);
    const { files, bytes, parent } = backup.manifest;
    const tree = await measureTree(join(folder, link));
    if (tree.files !== files || tree.bytes !== bytes)
      return err(
        `Backup ${link} is damaged: it holds ${tree.files} files of ${tree.bytes} bytes, and held ${files} of ${bytes}${describeUse(link, name)}`,
      );
    chain.push(backup);
    link = parent;
  }
  return ok(chain.toReversed());
}

function describeUse(link: string, name: string): string {
  return link === name ? '; choose another one' : `; ${name} stands on it; choose one that does not`;
}

/** Those that may go when the newest `keep` are to stay: never one that any of them stands on. */
export function choosePruned(backups: readonly Backup[], keep: number): readonly string[] {
  const parents = new Map(backups.map(({ name, manifest }) => [name, manifest.parent]));
  const kept = new Set<string>();
  for (const { name } of backups.slice(-keep)) {
    for (
      let link: string | null | undefined = name;
      typeof link === 'string' && !kept.has(link);
      link = parents.get(link)
    )
      kept.add(link);
  }
  return backups.map(({ name }) => name).filter((name) => !kept.has(name));
}

/** Removes a backup so that a kill on the way leaves what no command takes for one. */
export async function removeBackup(folder: string, name: string): Promise<void> {
  await rename(join(folder, name), partialPath(folder, name));
  await rm(partialPath(folder, name), { recursive: true, force: true });
}

/** Writes the manifest so that it is whole or not there, and stays through a power cut. */
export async function writeManifest(directory: string, manifest: Manifest): Promise<void> {
  const file = join(directory, MANIFEST);
  const handle = await open(`${file}.new`, 'w', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(manifest, null, 1)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
  await syncPath(directory);
}

async function readManifest(directory: string): Promise<Manifest | null> {
  const text = await readFile(join(directory, MANIFEST), 'utf8').catch(() => '');
  try {
    const read = v.safeParse(MANIFEST_SCHEMA, JSON.parse(text));
    return read.success ? read.output : null;
  } catch {
    return null;
  }
}

/** Files and bytes below a directory, the manifest left out. */
export async function measureTree(directory: string): Promise<{ readonly files: number; readonly bytes: number }> {
  let [files, bytes] = [0, 0];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || (entry.parentPath === directory && entry.name.startsWith(MANIFEST))) continue;
    files += 1;
    bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return { files, bytes };
}

async function readNames(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (isRecord(error) && error['code'] === 'ENOENT') return [];
    throw error;
  });
}
