import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { isRecord } from '@muster/proto/record';

/** Puts everything below a directory on the disk, and the directory itself. What is removed meanwhile is left out. */
export async function syncTree(directory: string, signal?: AbortSignal): Promise<void> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    signal?.throwIfAborted();
    if (entry.isFile() || entry.isDirectory()) await syncIfThere(join(entry.parentPath, entry.name));
  }
  await syncPath(directory);
}

/** Puts a file on the disk, or the names in a directory. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncIfThere(path: string): Promise<void> {
  try {
    await syncPath(path);
  } catch (error) {
    if (!isRecord(error) || error['code'] !== 'ENOENT') throw error;
  }
}

/** Puts the parts of a table on the disk that came into its directory since the last call. */
export function makePartSync(directory: string): () => Promise<void> {
  let known = new Set<string>();
  return async () => {
    const names = await readdir(directory);
    for (const name of names) if (!known.has(name)) await syncTreeIfThere(join(directory, name));
    await syncPath(directory);
    known = new Set(names);
  };
}

async function syncTreeIfThere(path: string): Promise<void> {
  try {
    await syncTree(path);
  } catch (error) {
    const code = isRecord(error) ? error['code'] : null;
    if (code === 'ENOTDIR') await syncIfThere(path);
    else if (code !== 'ENOENT') throw error;
  }
}
