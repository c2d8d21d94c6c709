import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

import type { HostEvent } from '@muster/proto/event';
import { err, ok } from '@muster/proto/result';

import { codeOf } from '../code-of.ts';
import { readText, splitLines } from '../read-text.ts';
import type { Finding, Source } from '../source.ts';
import { findCount } from './fields.ts';

/** The kernel adds up its table over all cores for it. */
const EVERY_MS = 5_000;

/** A record of the kernel's log is at most so long; what is longer is cut by the kernel. */
const RECORD_BYTES_MAX = 8_192;
/** The log holds about this many; a reader that is overtaken begins anew. */
const RECORDS_MAX = 20_000;
/** Of one burst. */
const EVENTS_MAX = 10;
const SUBJECT_LENGTH_MAX = 200;

/** A process that the kernel killed for want of memory; `cgroup` where it was a limit of that which was reached. */
export type Victim = { readonly name: string; readonly pid: string; readonly cgroup: string | null };

export type OomOptions = { readonly root: string; readonly now: () => number };

/**
 * Counts kills for want of memory, and tells each: whom, where the kernel's log may be read. The log is only looked at
 * when there was one.
 */
export function makeOomSource({ root, now }: OomOptions): Source {
  let known: number | null = null;
  let toldSeq = -1;
  return {
    name: 'oom',
    everyMs: EVERY_MS,
    read: () => {
      const kills = findCount(readText(join(root, 'proc/vmstat')) ?? '', 'oom_kill');
      if (kills === null) return err('proc/vmstat has no oom_kill: the kernel is older than 4.13');
      const fresh = kills - (known ?? 0);
      const isFirst = known === null;
      known = kills;
      const samples = [{ metric: 'system.memory.oom_kills', labels: '', value: kills } as const];
      if (fresh <= 0) return ok({ samples });
      // Those before the agent started are looked at too, so that they are not taken for later ones.
      const victims = parseVictims(readKernelLog(root) ?? '').filter(({ seq }) => seq > toldSeq);
      toldSeq = Math.max(toldSeq, ...victims.map(({ seq }) => seq));
      return ok(isFirst ? { samples } : { samples, events: makeEvents(victims, fresh, now()) });
    },
    diagnose: async () => findKernelLog(root),
  };
}

/** One event for each kill that was counted; where the log does not name the victim, it was somebody. */
function makeEvents(victims: readonly Victim[], kills: number, atMs: number): HostEvent[] {
  const count = Math.min(kills, EVENTS_MAX);
  const named = victims.slice(-count);
  return Array.from({ length: count }, (_, i) => {
    const victim = named[i];
    return victim === undefined
      ? { kind: 'oom-kill', atMs }
      : { kind: 'oom-kill', atMs, subject: describeVictim(victim) };
  });
}

function describeVictim({ name, pid, cgroup }: Victim): string {
  return `${name} (pid ${pid}${cgroup === null ? '' : `, at the limit of ${cgroup}`})`.slice(0, SUBJECT_LENGTH_MAX);
}

/** All that is in the kernel's log, or null when it may not be read. */
function readKernelLog(root: string): string | null {
  const file = tryOpen(join(root, 'dev/kmsg'));
  if (file === null) return null;
  const buffer = Buffer.allocUnsafe(RECORD_BYTES_MAX);
  const pieces: string[] = [];
  try {
    for (let records = 0; records < RECORDS_MAX; records += 1) {
      const bytes = readRecord(file, buffer);
      if (bytes === 0) break;
      if (bytes > 0) pieces.push(buffer.toString('utf8', 0, bytes));
    }
  } finally {
    closeSync(file);
  }
  return pieces.join('');
}

function tryOpen(path: string): number | null {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
}

/** The bytes of the next record; 0 at the end (which is an error, EAGAIN), -1 when records were overwritten meanwhile. */
function readRecord(file: number, buffer: Buffer): number {
  try {
    return readSync(file, buffer);
  } catch (cause) {
    return codeOf(cause) === 'EPIPE' ? -1 : 0;
  }
}

/**
 * Source: kernel document ABI/testing/dev-kmsg: `level,sequence,microseconds,flags;text`, and dump_oom_summary in
 * mm/oom_kill.c, since 4.19.
 */
export function parseVictims(log: string): (Victim & { readonly seq: number })[] {
  const victims: (Victim & { readonly seq: number })[] = [];
  for (const line of splitLines(log)) {
    const match = /^\d+,(\d+),[^;]*;oom-kill:constraint=(\w+),(.*)task_memcg=[^,]*,task=(.*),pid=(\d+),/.exec(line);
    if (match === null) continue;
    const [, seq, constraint, scope = '', name = '', pid = ''] = match;
    const cgroup = constraint === 'CONSTRAINT_MEMCG' ? (/oom_memcg=([^,]*),/.exec(scope)?.[1] ?? null) : null;
    victims.push({ seq: Number(seq), name, pid, cgroup });
  }
  return victims;
}

function findKernelLog(root: string): readonly Finding[] {
  const file = tryOpen(join(root, 'dev/kmsg'));
  if (file === null) {
    return [
      {
        what: 'whom the kernel killed cannot be told, only that it did: dev/kmsg may not be read',
        next: 'the drop-in kernel-log.conf of the service allows it',
      },
    ];
  }
  closeSync(file);
  return [];
}
