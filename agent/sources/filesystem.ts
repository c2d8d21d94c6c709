import { join } from 'node:path';

import { formatLabels, LABELS_LENGTH_MAX } from '@muster/proto/labels';
import { describeError } from '@muster/proto/log';
import { ok } from '@muster/proto/result';

import { ratioOf } from '../ratio.ts';
import { readText } from '../read-text.ts';
import type { Sample, Source } from '../source.ts';
import { chooseMounts, isRemote, parseMounts, parseNodev, type Mount } from './mounts.ts';

/** What statfs(2) says, in blocks of `bsize` bytes. `bavail` is what an ordinary user may still take of `bfree`. */
export type StatFs = {
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
};

/** How long a filesystem may take to answer: a tick must not wait for a server that is gone. */
export const STATFS_MS_MAX = 500;
/** A call that hangs holds one of Node's four threads until the server is back; two stay free for all other work. */
const HANGING_MAX = 2;
/** How many of the left-out mounts a remark names. */
const NAMED_MAX = 5;

export type FilesystemOptions = {
  readonly root: string;
  readonly statfs: (path: string) => Promise<StatFs>;
  readonly statfsMsMax: number;
};

export function makeFilesystemSource(options: FilesystemOptions): Source {
  const readMounts = makeMountReader(options.root);
  const ask = makeAsker(options);
  return {
    name: 'filesystem',
    read: async () => {
      const samples: Sample[] = [];
      const leftOut: string[] = [];
      // One at a time, so that calls that hang cannot take every thread.
      for (const { mount, labels } of readMounts()) {
        const answer = labels === null ? 'has too long a name' : await ask(mount);
        if (typeof answer === 'string') leftOut.push(`${mount.mountPoint.slice(0, 100)} ${answer}`);
        else if (labels !== null) samples.push(...sampleFilesystem(answer, labels));
      }
      return ok(leftOut.length === 0 ? { samples } : { samples, remark: describe(leftOut) });
    },
  };
}

type NamedMount = { readonly mount: Mount; readonly labels: FilesystemLabels | null };

/** The mounts that hold data. As long as the kernel's list stays the same, so do the mounts and their label texts. */
function makeMountReader(root: string): () => readonly NamedMount[] {
  let known: { readonly text: string; readonly mounts: readonly NamedMount[] } = { text: '', mounts: [] };
  return () => {
    const text = readText(join(root, 'proc/self/mountinfo')) ?? '';
    if (text !== known.text) {
      const nodev = parseNodev(readText(join(root, 'proc/filesystems')) ?? '');
      const mounts = chooseMounts(parseMounts(text), nodev).map((mount) => ({ mount, labels: makeLabels(mount) }));
      known = { text, mounts };
    }
    return known.mounts;
  };
}

/** Asks one filesystem for its numbers; a text says why there are none. A mount that still hangs is not asked again. */
function makeAsker({ root, statfs, statfsMsMax }: FilesystemOptions): (mount: Mount) => Promise<StatFs | string> {
  const silent = 'does not answer';
  const hanging = new Set<string>();
  return async ({ mountPoint, type }) => {
    if (hanging.has(mountPoint) || (isRemote(type) && hanging.size >= HANGING_MAX)) return silent;
    hanging.add(mountPoint);
    const answer = statfs(join(root, mountPoint))
      .catch((cause: unknown) => `cannot be asked: ${describeError(cause)}`)
      .finally(() => hanging.delete(mountPoint));
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<string>((resolve) => {
      timer = setTimeout(resolve, statfsMsMax, silent);
    });
    return Promise.race([answer, deadline]).finally(() => clearTimeout(timer));
  };
}

type FilesystemLabels = Readonly<Record<'all' | 'used' | 'free' | 'reserved', string>>;

/** The label texts of one filesystem, or null when the longest of them is too long to travel. */
export function makeLabels({ source, mountPoint, type }: Mount): FilesystemLabels | null {
  const all = { 'system.device': source, 'system.filesystem.mountpoint': mountPoint, 'system.filesystem.type': type };
  const ofState = (state: string) => formatLabels({ ...all, 'system.filesystem.state': state });
  const reserved = ofState('reserved');
  if (reserved.length > LABELS_LENGTH_MAX) return null;
  return { all: formatLabels(all), used: ofState('used'), free: ofState('free'), reserved };
}

/**
 * Space and inodes as df(1) counts them: full is when an ordinary user can write nothing more, whatever is reserved
 * for root. Nothing for a filesystem without space of its own, which df leaves out too; no inodes where they are made
 * as needed (btrfs).
 */
export function sampleFilesystem(answer: StatFs, labels: FilesystemLabels): Sample[] {
  const { bsize, blocks, files } = answer;
  if (blocks <= 0) return [];
  const freeBlocks = Math.min(answer.bfree, blocks);
  // Some servers and quotas report more available than free, or a negative number as a huge one.
  const availableBlocks = Math.min(answer.bavail, freeBlocks);
  const usedBlocks = blocks - freeBlocks;
  const samples: Sample[] = [
    { metric: 'system.filesystem.usage', labels: labels.used, value: usedBlocks * bsize },
    { metric: 'system.filesystem.usage', labels: labels.free, value: availableBlocks * bsize },
    { metric: 'system.filesystem.usage', labels: labels.reserved, value: (freeBlocks - availableBlocks) * bsize },
  ];
  if (usedBlocks + availableBlocks > 0) {
    const value = ratioOf(usedBlocks, usedBlocks + availableBlocks);
    samples.push({ metric: 'system.filesystem.utilization', labels: labels.all, value });
  }
  if (files > 0) {
    const freeFiles = Math.min(answer.ffree, files);
    samples.push(
      { metric: 'system.filesystem.inodes.usage', labels: labels.used, value: files - freeFiles },
      { metric: 'system.filesystem.inodes.usage', labels: labels.free, value: freeFiles },
      { metric: 'system.filesystem.inodes.utilization', labels: labels.all, value: ratioOf(files - freeFiles, files) },
    );
  }
  return samples;
}

function describe(leftOut: readonly string[]): string {
  const others = leftOut.length - NAMED_MAX;
  return `left out: ${leftOut.slice(0, NAMED_MAX).join('; ')}${others > 0 ? `; and ${others} more` : ''}`;
}
