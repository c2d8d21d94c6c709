import { randomBytes } from 'node:crypto';
import { open, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Dropping a partition writes a little: the engine reserves 1 MiB for each before it begins, and a full disk has none.
 * Sixteen of those leave room for what else writes meanwhile; a small disk gives a twentieth of itself.
 */
const BALLAST_BYTES = 16 * 1024 * 1024;
const BALLAST_BYTES_MIN = 2 * 1024 * 1024;
const DISK_SHARE = 0.05;
/** It is made only where this many times as much is free: it must not be what fills the disk. */
const ROOM = 4;
/** A lock, and what the engine reserves for whatever it does first. */
const START_BYTES = 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;

/** Enough for the description of every table, many times over. */
const SCHEMA_BYTES = 8 * 1024 * 1024;

/** Throws when the disk has no room for a change of the schema, which would be cut off. */
export async function ensureDiskRoom(directory: string): Promise<void> {
  const { bsize, bavail } = await statfs(directory);
  if (bavail * bsize >= SCHEMA_BYTES) return;
  throw new Error(
    `Cannot open the store in ${directory}: its schema has to be changed, and the disk is full; free ${SCHEMA_BYTES} bytes on it`,
  );
}

/** A file that takes up room, to be deleted when a full disk keeps us from dropping what we no longer need. */
export type Ballast = {
  /** Makes the file where it is missing or was not finished, if there is room. Call now and then, never twice at once. */
  readonly restore: () => Promise<void>;
  /** Deletes it. False: there is none. */
  readonly release: () => Promise<boolean>;
  /** Deletes it where there is hardly any room, not even for what a start writes. */
  readonly releaseIfFull: () => Promise<void>;
};

export function makeBallast(directory: string): Ballast {
  const file = join(directory, 'ballast');

  async function readBytes(): Promise<number> {
    return stat(file).then(
      ({ size }) => size,
      () => 0,
    );
  }

  async function release(): Promise<boolean> {
    const isThere = (await readBytes()) > 0;
    await rm(file, { force: true });
    return isThere;
  }

  return {
    async restore() {
      const { bsize, blocks, bavail } = await statfs(directory);
      const bytes = Math.floor(Math.max(BALLAST_BYTES_MIN, Math.min(BALLAST_BYTES, blocks * bsize * DISK_SHARE)));
      if ((await readBytes()) >= bytes || bavail * bsize < ROOM * bytes) return;
      try {
        await fill(file, bytes);
      } catch (cause) {
        await rm(file, { force: true });
        throw new Error(`Cannot make ${file}`, { cause });
      }
    },
    release,
    async releaseIfFull() {
      const disk = await statfs(directory).catch(() => null); // a first start makes the directory
      if (disk !== null && disk.bavail * disk.bsize < START_BYTES) await release();
    },
  };
}

/** Random bytes, so that no filesystem saves the room by compressing them or leaving them out. */
async function fill(file: string, bytes: number): Promise<void> {
  const handle = await open(file, 'w', 0o600);
  try {
    for (let left = bytes; left > 0; left -= CHUNK_BYTES)
      await handle.writeFile(randomBytes(Math.min(left, CHUNK_BYTES)));
    await handle.sync();
  } finally {
    await handle.close();
  }
}
