import { join } from 'node:path';

import { formatLabels, LABELS_LENGTH_MAX } from '@muster/proto/labels';
import { describeError } from '@muster/proto/log';
import { err, ok, type Result } from '@muster/proto/result';

import { ratioOf } from '../ratio.ts';
import { readText, tryText } from '../read-text.ts';
import type { Sample, Source } from '../source.ts';
import { chooseMounts, findVisible, isFuse, isRemote, parseMounts, parseNodev, type Mount } from './mounts.ts';

/** Space goes slowly, and each question costs a turn of the thread pool. */
const EVERY_MS = 10_000;

/** What statfs(2) says, in blocks of `bsize` bytes. `bavail` is what an ordinary user may still take of `bfree`. */
export type StatFs = {
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
};

/** How long all filesystems together may take to answer: a tick must not wait for a server that is gone. */
export const STATFS_MS_MAX = 500;
/**
 * A call that hangs holds one of Node's four threads until its server is back. One thread stays free, for the names of
 * servers are looked up there; and one more is not for filesystems over the network, so that those that are gone do
 * not hide the disks. A call under way counts as one that hangs.
 */
const HANGING_MAX = 3;
const REMOTE_HANGING_MAX = 2;
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
    name: 'filesystems',
    everyMs: EVERY_MS,
    read: async () => {
      const mounts = readMounts();
      if (!mounts.ok) return mounts;
      const samples: Sample[] = [];
      const leftOut: string[] = [];
      const answers = await ask(mounts.value.flatMap(({ mount, labels }) => (typeof labels === 'string' ? [] : mount)));
      const leaveOut = ({ mountPoint }: Mount, why: string) => leftOut.push(`${mountPoint.slice(0, 100)} ${why}`);
      for (const { mount, labels } of mounts.value) {
        const answer = answers.get(mount) ?? SILENT;
        if (typeof labels === 'string') leaveOut(mount, labels);
        else if (typeof answer === 'string') leaveOut(mount, answer);
        else samples.push(...sampleFilesystem(answer, mount, labels));
      }
      return ok(leftOut.length === 0 ? { samples } : { samples, remark: describe(leftOut) });
    },
  };
}

/** A text in place of the labels says why it is not asked. */
type NamedMount = { readonly mount: Mount; readonly labels: FilesystemLabels | string };

/** The mounts that hold data. As long as the kernel's list stays the same, so do the mounts and their label texts. */
function makeMountReader(root: string): () => Result<readonly NamedMount[], string> {
  let known: { readonly text: string; readonly first: string | null; readonly mounts: readonly NamedMount[] } | null =
    null;
  return () => {
    const text = readText(join(root, 'proc/self/mountinfo'));
    const first = tryText(join(root, 'proc/1/mountinfo'));
    if (text === null) return err('there is no proc/self/mountinfo');
    if (text !== known?.text || first !== known.first) {
      const own = parseMounts(text);
      if (own.length === 0) return err('proc/self/mountinfo lists no mount');
      const nodev = parseNodev(readText(join(root, 'proc/filesystems')) ?? '');
      const seen = findVisible(own);
      known = {
        text,
        first,
        mounts: chooseMounts(chooseView(own, seen, first), nodev).map((mount) => nameMount(mount, seen)),
      };
    }
    return ok(known.mounts);
  };
}

/**
 * A service that may write nowhere sees every filesystem as read-only; the first process sees what is. Not so where its
 * root is another one, as of an agent in a container that sees the processes of its host.
 */
function chooseView(
  own: readonly Mount[],
  seen: ReadonlyMap<string, Mount>,
  firstText: string | null,
): readonly Mount[] {
  if (firstText === null) return own;
  const first = parseMounts(firstText);
  return findVisible(first).get('/')?.device === seen.get('/')?.device ? first : own;
}

/** `seen` is what the agent sees: elsewhere its question would be answered by the filesystem around. */
function nameMount(mount: Mount, seen: ReadonlyMap<string, Mount>): NamedMount {
  const isSeen = seen.get(mount.mountPoint)?.device === mount.device;
  const labels = isSeen ? (makeLabels(mount) ?? 'has too long a name') : 'is out of the agent’s sight';
  return { mount, labels };
}

const SILENT = 'does not answer';

/** A text says why there are no numbers. */
type Answer = StatFs | string;
/** How long a late answer may stand for its mount. */
const LATE_MS_MAX = 10_000;

/** An answer that came after its reading was over. `isSlow`: it alone would have held up a reading to the end. */
type LateAnswer = { readonly answer: Answer; readonly isSlow: boolean; readonly atMs: number };

/**
 * Asks filesystems for their numbers, one at a time, so that calls that hang cannot take every thread, and all within
 * `statfsMsMax`. An answer that comes later is used in the next reading; one that alone took that long is not waited
 * for again, so that a slow mount gives data that is a little old, and holds up nothing. A mount is not asked while
 * an earlier call hangs, nor below one that is silent, through which its path leads.
 */
function makeAsker({ root, statfs, statfsMsMax }: FilesystemOptions): (mounts: readonly Mount[]) => Promise<Answers> {
  const hanging = new Set<string>();
  let late = new Map<string, LateAnswer>();

  function mayAsk({ mountPoint, type }: Mount): boolean {
    return !hanging.has(mountPoint) && hanging.size < (isRemote(type) ? REMOTE_HANGING_MAX : HANGING_MAX);
  }

  async function ask({ mountPoint }: Mount): Promise<Answer> {
    hanging.add(mountPoint);
    const startedMs = performance.now();
    const answer = await statfs(join(root, mountPoint)).catch(
      (cause: unknown) => `cannot be asked: ${describeError(cause)}`,
    );
    hanging.delete(mountPoint);
    const atMs = performance.now();
    // The deadline may be up to a millisecond early.
    late.set(mountPoint, { answer, isSlow: Math.ceil(atMs - startedMs) >= statfsMsMax, atMs });
    return answer;
  }

  return async (mounts) => {
    const earlier = late;
    late = new Map();
    const answers = new Map<Mount, Answer>();
    const silent: string[] = [];
    const deadline = startDeadline(statfsMsMax);
    for (const mount of mounts) {
      const { mountPoint } = mount;
      const known = earlier.get(mountPoint);
      let answer: Answer | null = null;
      if (mayAsk(mount) && !silent.some((above) => isBelow(mountPoint, above))) {
        const asked = ask(mount);
        if (known?.isSlow !== true) answer = await Promise.race([asked, deadline.over]);
        if (answer !== null) late.delete(mountPoint);
      }
      if (answer === null && known !== undefined && performance.now() - known.atMs < LATE_MS_MAX) {
        late.set(mountPoint, known); // until its next answer, for it may be slower than the sampling
        ({ answer } = known);
      }
      if (answer === null) silent.push(mountPoint);
      else answers.set(mount, answer);
    }
    deadline.cancel();
    return answers;
  };
}

function isBelow(mountPoint: string, above: string): boolean {
  return mountPoint.startsWith(above === '/' ? above : `${above}/`);
}

/** What the mounts say that answer. */
type Answers = ReadonlyMap<Mount, Answer>;

function startDeadline(durationMs: number): { readonly over: Promise<null>; readonly cancel: () => void } {
  const { promise: over, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(resolve, durationMs, null);
  return { over, cancel: () => clearTimeout(timer) };
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
 * as needed (btrfs). No sizes in user space (FUSE): it may count in other blocks (`frsize`, which Node does not tell)
 * than `bsize`, so that only what does not depend on them is right.
 */
export function sampleFilesystem(
  answer: StatFs,
  { type, isReadOnly }: Pick<Mount, 'type' | 'isReadOnly'>,
  labels: FilesystemLabels,
): Sample[] {
  const { bsize, blocks, files } = answer;
  if (blocks <= 0) return [];
  const freeBlocks = Math.min(answer.bfree, blocks);
  // Some servers and quotas report more available than free, or a negative number as a huge one.
  const availableBlocks = Math.min(answer.bavail, freeBlocks);
  const usedBlocks = blocks - freeBlocks;
  const samples: Sample[] = [{ metric: 'system.filesystem.read_only', labels: labels.all, value: isReadOnly ? 1 : 0 }];
  if (!isFuse(type)) {
    samples.push(
      { metric: 'system.filesystem.usage', labels: labels.used, value: usedBlocks * bsize },
      { metric: 'system.filesystem.usage', labels: labels.free, value: availableBlocks * bsize },
      { metric: 'system.filesystem.usage', labels: labels.reserved, value: (freeBlocks - availableBlocks) * bsize },
    );
  }
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
