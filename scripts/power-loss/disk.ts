import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadLibrary } from '../../agent/library.ts';

/** A disk whose power can be cut: what was not put on it by then is gone. */
export type CutDisk = {
  readonly directory: string;
  /** From now on nothing reaches it, and what uses it gets errors. */
  readonly cut: () => void;
  /** Mounts it as it was at the cut, when all that used it have ended. */
  readonly restart: () => void;
  readonly close: () => void;
};

/** _IOR('X', 125, __u32), as fs/ext4/ext4.h and fs/xfs/libxfs/xfs_fs.h have it; 2: neither data nor journal is written. */
const SHUTDOWN = 0x8004_587d;
const NO_FLUSH = 2;
/** The journal is committed only when somebody asks for it, and no file because it takes another's place. */
const MOUNT_OPTIONS = 'loop,commit=300,noauto_da_alloc';

/**
 * Mounts an ext4 on a file. The cut is the one with which filesystems are tested (xfstests): the kernel forgets what it
 * had not written, and the next mount plays the journal back. What a disk itself forgets, whose cache lies, is not shown.
 * Needs root and loop devices; throws otherwise.
 */
export function openCutDisk(bytes: number): CutDisk {
  const root = mkdtempSync(join(tmpdir(), 'muster-power-'));
  const [image, copy, directory] = [join(root, 'image'), join(root, 'copy'), join(root, 'disk')];
  let isMounted = false;
  const mount = (): void => {
    run('mount', '-o', MOUNT_OPTIONS, image, directory);
    isMounted = true;
  };
  const unmount = (): void => {
    if (isMounted) run('umount', directory);
    isMounted = false;
  };
  const close = (): void => {
    process.off('exit', close);
    unmount();
    rmSync(root, { recursive: true });
  };
  try {
    writeFileSync(image, '');
    truncateSync(image, bytes);
    run('mkfs.ext4', '-q', '-F', image);
    run('mkdir', directory);
    mount();
  } catch (cause) {
    rmSync(root, { recursive: true });
    throw new Error('Cannot mount a disk; run this as root, where ext4 may be mounted on a file', { cause });
  }
  process.on('exit', close);
  return {
    directory,
    cut: () => shutDown(directory),
    restart() {
      unmount();
      // Whoever has a copy of our mounts (a container that was started meanwhile) keeps the dead one; so this is another.
      run('cp', '--sparse=always', image, copy);
      renameSync(copy, image);
      mount();
    },
    close,
  };
}

function shutDown(directory: string): void {
  const library = loadLibrary([]);
  const ioctl = library.load(null).func('int ioctl(int fd, unsigned long request, uint32_t *flags)');
  const descriptor = openSync(directory, 'r');
  try {
    if (ioctl(descriptor, SHUTDOWN, [NO_FLUSH]) !== 0) throw new Error(`Cannot cut the disk: errno ${library.errno()}`);
  } finally {
    closeSync(descriptor);
  }
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
