import { execFile, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { until } from './until.ts';

/** USER_HZ, which Linux has at 100 on every machine that we run on. */
const TICKS_PER_SECOND = 100;
/** How long a program may take to end when it is told to. */
const STOP_MS = 12_000;

/** It ends with us, however we end. */
const IN_NAMESPACE = ['setpriv', '--pdeathsig', 'KILL', '--', 'unshare', '--pid', '--fork', '--kill-child', '--'];

export type ObservedOptions = {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

/** What a program and all that it has started hold and took, those that have ended and were waited for included. */
export type TreeUsage = { readonly cpuMs: number; readonly anonymousBytes: number; readonly rssBytes: number };

export type ObservedProcess = {
  /** By performance.now(), right before it was started. */
  readonly startedMs: number;
  readonly usage: () => TreeUsage;
  /** How many processes and threads it has started since the last look; null: only root can tell. */
  readonly countStarted: () => Promise<number | null>;
  readonly hasEnded: () => boolean;
  readonly stop: () => Promise<void>;
};

/**
 * Starts a program as the first of a PID namespace of its own. The kernel numbers what is started there without a gap,
 * so that one more process, which only says its number, tells how many there were: none is missed, however short its
 * life, and nothing slows the program down. Threads are numbered in the same row.
 */
export async function startObserved({ command, args, env = {} }: ObservedOptions): Promise<ObservedProcess> {
  const isRoot = process.getuid?.() === 0;
  const line = [command, ...args];
  const [program = '', ...rest] = isRoot ? [...IN_NAMESPACE, ...line] : line;
  const startedMs = performance.now();
  const child = spawn(program, rest, { env: { ...process.env, ...env }, stdio: 'ignore' });
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  const parent = child.pid;
  if (parent === undefined) throw new Error(`Cannot start ${command}: is it installed?`);
  const pid = isRoot ? await findChild(parent, hasEnded) : parent;
  const onExit = (): void => void child.kill('SIGKILL');
  process.once('exit', onExit);
  let last = 0;
  return {
    startedMs,
    usage: () => readTree(pid),
    countStarted: async () => {
      if (!isRoot) return null;
      const number = await readNextNumber(pid);
      const started = number - last - 1;
      last = number;
      return started;
    },
    hasEnded,
    stop: async () => {
      process.off('exit', onExit);
      if (hasEnded()) return;
      process.kill(pid, 'SIGTERM');
      const isOver = await Promise.race([ended.then(() => true), sleep(STOP_MS, false, { ref: false })]);
      if (!isOver) child.kill('SIGKILL'); // takes the namespace along
      await ended;
    },
  };
}

/** unshare has one child, the program. */
function findChild(parent: number, hasEnded: () => boolean): Promise<number> {
  return until('a process in a PID namespace of its own', () => {
    if (hasEnded()) throw new Error('Cannot make a PID namespace: unshare has ended');
    return listChildren(parent)[0] ?? null;
  });
}

async function readNextNumber(pid: number): Promise<number> {
  const asked = ['--target', String(pid), '--pid', '--', 'sh', '-c', 'echo $$'];
  return Number((await promisify(execFile)('nsenter', asked)).stdout);
}

function readTree(root: number): TreeUsage {
  const pids = [root];
  for (const pid of pids) pids.push(...listChildren(pid)); // grows while it is walked
  const total = { cpuMs: 0, anonymousBytes: 0, rssBytes: 0 };
  for (const pid of pids) {
    const usage = readProcess(pid);
    total.cpuMs += usage.cpuMs;
    total.anonymousBytes += usage.anonymousBytes;
    total.rssBytes += usage.rssBytes;
  }
  return total;
}

/** Source: proc(5), /proc/pid/task/tid/children. */
function listChildren(pid: number): readonly number[] {
  return readOr([], () =>
    readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    ),
  );
}

/** Source: proc(5), /proc/pid/stat fields 14 to 17, /proc/pid/status. */
function readProcess(pid: number): TreeUsage {
  return readOr({ cpuMs: 0, anonymousBytes: 0, rssBytes: 0 }, () => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    const bytesOf = (name: string): number =>
      1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0); // one that has ended has none
    return {
      cpuMs: (ticks * 1_000) / TICKS_PER_SECOND,
      anonymousBytes: bytesOf('RssAnon'),
      rssBytes: bytesOf('VmRSS'),
    };
  });
}

/** What has ended between two looks is not there any more; its time counts with its parent's. */
function readOr<T>(otherwise: T, read: () => T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
