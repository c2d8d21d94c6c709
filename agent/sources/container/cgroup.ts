import { join } from 'node:path';

import { splitLines, tryText } from '../../read-text.ts';
import { openCgroup, readUse, type Cgroup } from '../cgroup.ts';
import { findCount } from '../fields.ts';
import { parseNetwork } from '../network.ts';
import { scale, toCounts, type Counts, type Usage } from './usage.ts';

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
  const version = groups.has('memory') ? 'v1' : 'v2';
  const pathOf = (controller: string) => groups.get(controller === 'unified' ? '' : controller);
  const usage = readUsage(openCgroup({ root, version, pathOf }));
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

function readUsage(cgroup: Cgroup): Usage | null {
  const { cpuSeconds: cpu, memoryBytes, tasks: threads } = readUse(cgroup);
  if (cpu === null) return null;
  const { inactiveFileBytes, ...more } = cgroup.version === 'v2' ? readV2(cgroup) : readV1(cgroup);
  const counts = toCounts({ cpu, received: null, transmitted: null, ...more });
  return { counts, memoryBytes, inactiveFileBytes, threads };
}

/** Source: kernel document admin-guide/cgroup-v2. */
function readV2({ read }: Cgroup) {
  const io = read('unified', 'io.stat');
  return {
    throttled: scale(findCount(read('unified', 'cpu.stat') ?? '', 'throttled_usec'), 1e6),
    oomKills: findCount(read('unified', 'memory.events') ?? '', 'oom_kill'),
    read: io === null ? null : addUp(io, / rbytes=(\d+)/g),
    written: io === null ? null : addUp(io, / wbytes=(\d+)/g),
    inactiveFileBytes: findCount(read('unified', 'memory.stat') ?? '', 'inactive_file'),
  };
}

/** Source: kernel documents admin-guide/cgroup-v1/{memory,blkio-controller}, scheduler/sched-bwc. */
function readV1({ read }: Cgroup) {
  const io =
    read('blkio', 'blkio.throttle.io_service_bytes_recursive') ?? read('blkio', 'blkio.throttle.io_service_bytes');
  return {
    throttled: scale(findCount(read('cpu', 'cpu.stat') ?? '', 'throttled_time'), 1e9),
    oomKills: findCount(read('memory', 'memory.oom_control') ?? '', 'oom_kill'),
    read: io === null ? null : addUp(io, / Read (\d+)/g),
    written: io === null ? null : addUp(io, / Write (\d+)/g),
    inactiveFileBytes: findCount(read('memory', 'memory.stat') ?? '', 'total_inactive_file'),
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

/** Over all devices, of the lines that are there in full. */
function addUp(text: string, pattern: RegExp): number {
  let sum = 0;
  for (const [, count] of text.slice(0, text.lastIndexOf('\n') + 1).matchAll(pattern)) sum += Number(count);
  return sum;
}
