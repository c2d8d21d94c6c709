import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describeError } from '@muster/proto/log';
import { isRecord } from '@muster/proto/record';

/** A disk of its own, so small that it can be filled. */
export type SmallDisk = {
  readonly directory: string;
  /** Takes all the room that is left, but for so many bytes. */
  readonly fill: (leftBytes?: number) => void;
  /** Gives it back. */
  readonly free: () => void;
  /** Whether it can be written. Refused by the kernel while a file on it is open for writing. */
  readonly setWritable: (isWritable: boolean) => void;
  /** Whoever still uses it keeps it, unseen by others, until it has ended. */
  readonly unmount: () => void;
};

/** Needs root and the right to mount, which a container mostly has not: then it throws, and says what refused it. */
export function mountSmallDisk(bytes: number): SmallDisk {
  const directory = mkdtempSync(join(tmpdir(), 'muster-disk-'));
  try {
    run('mount', '-t', 'tmpfs', '-o', `size=${bytes},mode=700`, 'tmpfs', directory);
  } catch (cause) {
    rmdirSync(directory);
    throw new Error('Cannot mount a disk; run this as root, where a tmpfs may be mounted', { cause });
  }
  const filler = join(directory, 'filler');
  let isMounted = true;
  const unmount = (): void => {
    process.off('exit', unmount);
    if (!isMounted) return;
    isMounted = false;
    run('umount', '--lazy', directory);
    rmdirSync(directory);
  };
  process.on('exit', unmount);
  return {
    directory,
    fill: (leftBytes = 0) => {
      const spare = join(directory, 'spare');
      if (leftBytes > 0) writeUntilFull(spare, leftBytes);
      writeUntilFull(filler, Infinity);
      rmSync(spare, { force: true });
    },
    free: () => rmSync(filler, { force: true }),
    setWritable: (isWritable) => run('mount', '-o', `remount,${isWritable ? 'rw' : 'ro'}`, directory),
    unmount,
  };
}

/** Why no disk can be mounted here, said to whoever reads the tests; null: one can. */
export function findMountFault(): string | null {
  try {
    mountSmallDisk(4096).unmount();
    return null;
  } catch (cause) {
    console.warn(`Not tested here: ${describeError(cause)}`);
    return describeError(cause);
  }
}

function writeUntilFull(path: string, bytesMax: number): void {
  const page = Buffer.alloc(4096, 1);
  const descriptor = openSync(path, 'a');
  try {
    for (let bytes = 0; bytes < bytesMax;) bytes += writeSync(descriptor, page, 0, Math.min(4096, bytesMax - bytes));
  } catch (cause) {
    if (!isRecord(cause) || cause['code'] !== 'ENOSPC') throw cause;
  } finally {
    closeSync(descriptor);
  }
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
