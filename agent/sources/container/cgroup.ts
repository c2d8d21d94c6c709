import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { parseCount, splitLines, tryText } from '../../read-text.ts';
import { parseNetwork } from '../network.ts';
import { scale, toCounts, type Counts, type Usage } from './usage.ts';

/** `v2`: everything in one tree; `v1`: a tree for each controller, perhaps beside one of v2 without any (hybrid). */
export type CgroupVersion = 'v1' | 'v2';

/** Null when there is none to be seen. Source: kernel document admin-guide/cgroup-v2, Mounting. */
export function findCgroupVersion(root: string): CgroupVersion | null {
  if (existsSync(join(root, 'sys/fs/cgroup/cgroup.controllers'))) return 'v2';
  return existsSync(join(root, 'sys/fs/cgroup/memory')) ? 'v1' : null;
}

/** The first process of a container, as its engine says. `hasNetwork`: one of its own. */
export type InitProcess = { readonly id: string; readonly pid: number; readonly hasNetwork: boolean };

/**
 * Reads what a container uses from the files of its control group, which its first process names. Null when they cannot be
 * seen, or when that process is not of this container: a pid may be another one's by now, or mean something else in the
 * pid namespace that the engine runs in.
 */
export function readCgroup(root: string, { id, pid, hasNetwork }: InitProcess): Usage | null {
  if (pid === 0) return null;
  const text = tryText(join(root, `proc/${pid}/cgroup`));
  if (text === null) return null;
  const groups = findGroups(text, id);
  const mounted = join(root, 'sys/fs/cgroup');
  const unified = groups.get('');
  let usage: Usage | null = null;
  if (groups.has('memory')) {
    usage = readV1((controller, file) => {
      const group = groups.get(controller);
      return group === undefined ? null : tryText(join(mounted, controller, group, file));
    });
  } else if (unified !== undefined) usage = readV2((file) => tryText(join(mounted, unified, file)));
  if (usage === null) return null;
  const traffic = hasNetwork ? parseTraffic(tryText(join(root, `proc/${pid}/net/dev`)) ?? '') : {};
  return { ...usage, counts: { ...usage.counts, ...traffic } };
}

/**
 * The group of a container in the tree of each controller, by /proc/<pid>/cgroup: `4:memory:/docker/<id>`; under '' in the
 * one tree of v2: `0::/system.slice/docker-<id>.scope`. What is below the part that bears the id (`/container` of Podman,
 * `/init.scope` of a systemd inside) is contained in it.
 */
export function findGroups(text: string, id: string): ReadonlyMap<string, string> {
  const groups = new Map<string, string>();
  for (const line of splitLines(text)) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    const parts = path?.split('/') ?? [];
    const end = parts.findIndex((part) => part.includes(id));
    // `..` leads out of the namespace in which we are, and so to nowhere that is mounted here.
    if (controllers === undefined || end === -1 || parts.includes('..')) continue;
    for (const controller of controllers.split(',')) groups.set(controller, parts.slice(0, end + 1).join('/'));
  }
  return groups;
}

/** Source: kernel document admin-guide/cgroup-v2. */
function readV2(read: (file: string) => string | null): Usage | null {
  const cpu = read('cpu.stat') ?? '';
  const memory = read('memory.stat') ?? '';
  const used = scale(findCount(cpu, 'usage_usec'), 1e6);
  if (used === null) return null;
  const io = read('io.stat');
  return {
    counts: toCounts({
      cpu: used,
      throttled: scale(findCount(cpu, 'throttled_usec'), 1e6),
      oomKills: findCount(read('memory.events') ?? '', 'oom_kill'),
      received: null,
      transmitted: null,
      read: io === null ? null : addUp(io, / rbytes=(\d+)/g),
      written: io === null ? null : addUp(io, / wbytes=(\d+)/g),
    }),
    memoryBytes: readCount(read('memory.current')),
    inactiveFileBytes: findCount(memory, 'inactive_file'),
    threads: readCount(read('pids.current')),
  };
}

/** Source: kernel documents admin-guide/cgroup-v1/{cpuacct,memory,blkio-controller,pids}, scheduler/sched-bwc. */
function readV1(read: (controller: string, file: string) => string | null): Usage | null {
  const used = scale(readCount(read('cpuacct', 'cpuacct.usage')), 1e9);
  if (used === null) return null;
  const io =
    read('blkio', 'blkio.throttle.io_service_bytes_recursive') ?? read('blkio', 'blkio.throttle.io_service_bytes');
  return {
    counts: toCounts({
      cpu: used,
      throttled: scale(findCount(read('cpu', 'cpu.stat') ?? '', 'throttled_time'), 1e9),
      oomKills: findCount(read('memory', 'memory.oom_control') ?? '', 'oom_kill'),
      received: null,
      transmitted: null,
      read: io === null ? null : addUp(io, / Read (\d+)/g),
      written: io === null ? null : addUp(io, / Write (\d+)/g),
    }),
    memoryBytes: readCount(read('memory', 'memory.usage_in_bytes')),
    inactiveFileBytes: findCount(read('memory', 'memory.stat') ?? '', 'total_inactive_file'),
    threads: readCount(read('pids', 'pids.current')),
  };
}

/** What went over the interfaces of a container, without its loopback; nothing when it has no others. */
function parseTraffic(text: string): Counts {
  const interfaces = parseNetwork(text).filter(({ name }) => name !== 'lo');
  if (interfaces.length === 0) return {};
  const sum = { received: 0, transmitted: 0 };
  for (const { receive, transmit } of interfaces) {
    sum.received += receive.bytes;
    sum.transmitted += transmit.bytes;
  }
  return sum;
}

/** The number behind a key, `usage_usec 4711`, on a line that is there in full. */
function findCount(text: string, key: string): number | null {
  const start = text.startsWith(`${key} `) ? 0 : text.indexOf(`\n${key} `) + 1;
  if (start === 0 && !text.startsWith(`${key} `)) return null;
  const end = text.indexOf('\n', start);
  return end === -1 ? null : parseCount(text.slice(start + key.length + 1, end));
}

function readCount(text: string | null): number | null {
  return text?.endsWith('\n') === true ? parseCount(text.slice(0, -1)) : null;
}

/** Over all devices, of the lines that are there in full. */
function addUp(text: string, pattern: RegExp): number {
  let sum = 0;
  for (const [, count] of text.slice(0, text.lastIndexOf('\n') + 1).matchAll(pattern)) sum += Number(count);
  return sum;
}
