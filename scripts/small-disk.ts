import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describeError } from '@muster/proto/log';
import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

const CHUNK_BYTES = 64 * 1024;
/** What is left when not even a chunk fits: written in pieces of this. */
const CRUMB_BYTES = 4096;

/** A disk that a test may fill. */
export type SmallDisk = {
  readonly directory: string;
  /** Takes all the room there is, from one call of `free` to the next. */
  readonly fill: () => void;
  readonly free: () => void;
  /** Unmounts it; twice is once. */
  readonly close: () => void;
};

/** Mounts a tmpfs of so many bytes. The error says why that cannot be done here: it takes root, for one. */
export function openSmallDisk(bytes: number): Result<SmallDisk, string> {
  const directory = mkdtempSync(join(tmpdir(), 'muster-small-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=700`, 'tmpfs', directory], { stdio: 'pipe' });
  } catch (error) {
    rmdirSync(directory);
    return err(`Cannot mount a tmpfs, which takes root and a kernel that allows it: ${describeError(error)}`);
  }
  const filler = join(directory, 'filler');
  let isOpen = true;
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    // Lazily: a process that still has a file open there must not keep it mounted.
    execFileSync('umount', ['-l', directory]);
    rmdirSync(directory);
    process.off('exit', close);
  };
  process.on('exit', close);
  return ok({
    directory,
    fill() {
      for (const chunk of [Buffer.alloc(CHUNK_BYTES, 1), Buffer.alloc(CRUMB_BYTES, 1)]) while (append(filler, chunk));
    },
    free: () => rmSync(filler, { force: true }),
    close,
  });
}

/** False: there was no room for it. */
function append(file: string, chunk: Buffer): boolean {
  try {
    appendFileSync(file, chunk);
    return true;
  } catch (error) {
    if (isRecord(error) && error['code'] === 'ENOSPC') return false;
    throw error;
  }
}
