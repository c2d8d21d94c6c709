import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { listDirectory } from '../../list-directory.ts';
import { parseCount, tryText } from '../../read-text.ts';

/** What the kernel counts of a service; null where it does not. */
export type ServiceUse = {
  readonly cpuSeconds: number | null;
  readonly memoryBytes: number | null;
  readonly tasks: number | null;
};

/** Slices are few, but for those of pods, of which there is one each and which hold no services. */
const SLICES_MAX = 200;
const LEFT_OUT = /^(kubepods|machine)\b/;

export type ServiceGroups = {
  /** Where the group of each service lies that runs, below the root of the hierarchy. */
  readonly paths: ReadonlyMap<string, string>;
  readonly read: (path: string) => ServiceUse;
};

/** Finds the control groups of all services, in cgroup v2 or v1. Source: kernel documents admin-guide/cgroup-v1, -v2. */
export function openServiceGroups(root: string): ServiceGroups {
  const top = join(root, 'sys/fs/cgroup');
  if (existsSync(join(top, 'cgroup.controllers'))) {
    return { paths: findServices(top), read: (path) => readNew(join(top, path)) };
  }
  return { paths: findServices(join(top, 'systemd')), read: (path) => readOld(top, path) };
}

function findServices(top: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const slices = [''];
  for (let i = 0; i < slices.length && i < SLICES_MAX; i += 1) {
    const slice = slices[i] ?? '';
    for (const name of listDirectory(join(top, slice))) {
      if (name.endsWith('.slice') && !LEFT_OUT.test(name)) slices.push(`${slice}/${name}`);
      else if (name.endsWith('.service')) found.set(name, `${slice}/${name}`);
    }
  }
  return found;
}

function readNew(directory: string): ServiceUse {
  return {
    cpuSeconds: readCpuStat(directory),
    memoryBytes: readCount(join(directory, 'memory.current')),
    tasks: readCount(join(directory, 'pids.current')),
  };
}

function readOld(top: string, path: string): ServiceUse {
  const nanoseconds = readCount(join(top, 'cpuacct', path, 'cpuacct.usage'));
  return {
    // With both at once, systemd has CPU time counted in v2 alone.
    cpuSeconds: nanoseconds === null ? readCpuStat(join(top, 'unified', path)) : Math.round(nanoseconds / 1e3) / 1e6,
    memoryBytes: readCount(join(top, 'memory', path, 'memory.usage_in_bytes')),
    tasks: readCount(join(top, 'pids', path, 'pids.current')),
  };
}

function readCpuStat(directory: string): number | null {
  const microseconds = parseCount(/^usage_usec (\d+)\n/m.exec(tryText(join(directory, 'cpu.stat')) ?? '')?.[1]);
  return microseconds === null ? null : microseconds / 1e6;
}

function readCount(path: string): number | null {
  const text = tryText(path);
  return text?.endsWith('\n') === true ? parseCount(text.slice(0, -1)) : null;
}
