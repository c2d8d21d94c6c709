import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { parseCount, tryText } from '../read-text.ts';
import { findCount } from './fields.ts';

/** `v2`: everything in one tree; `v1`: a tree for each controller, perhaps beside one of v2 without any (hybrid). */
export type CgroupVersion = 'v1' | 'v2';

const MOUNTED = 'sys/fs/cgroup';

/** Null when there is none to be seen. Source: kernel document admin-guide/cgroup-v2, Mounting. */
export function findCgroupVersion(root: string): CgroupVersion | null {
  if (existsSync(join(root, MOUNTED, 'cgroup.controllers'))) return 'v2';
  return existsSync(join(root, MOUNTED, 'memory')) ? 'v1' : null;
}

/** One control group. The text of a file of it, in the tree of a controller; v2 has one tree for all of them. */
export type Cgroup = {
  readonly version: CgroupVersion;
  readonly read: (controller: Controller, file: string) => string | null;
};

export type Controller = 'blkio' | 'cpu' | 'cpuacct' | 'memory' | 'pids' | 'unified';

export type CgroupPlace = {
  readonly root: string;
  readonly version: CgroupVersion;
  /** Where the group lies in the tree of a controller; v2 and the tree of v2 beside v1 are `unified`. */
  readonly pathOf: (controller: Controller) => string | undefined;
};

/** For one reading: each file is read once. */
export function openCgroup({ root, version, pathOf }: CgroupPlace): Cgroup {
  const texts = new Map<string, string | null>();
  const mounted = join(root, MOUNTED);
  return {
    version,
    read: (controller, file) => {
      const path = pathOf(version === 'v2' ? 'unified' : controller);
      if (path === undefined) return null;
      const place = version === 'v2' ? join(mounted, path, file) : join(mounted, controller, path, file);
      const text = texts.has(place) ? (texts.get(place) ?? null) : tryText(place);
      texts.set(place, text);
      return text;
    },
  };
}

/** What the kernel counts of a control group; null where it does not. */
export type CgroupUse = {
  /** To the microsecond in v1 too, which counts nanoseconds: three digits more would cost more than they say. */
  readonly cpuSeconds: number | null;
  readonly memoryBytes: number | null;
  readonly tasks: number | null;
};

/** Source: kernel documents admin-guide/cgroup-v2, admin-guide/cgroup-v1/{cpuacct,memory,pids}. */
export function readUse({ version, read }: Cgroup): CgroupUse {
  const isNew = version === 'v2';
  const nanoseconds = isNew ? null : readWhole(read('cpuacct', 'cpuacct.usage'));
  // With both at once, systemd has CPU time counted in v2 alone.
  const microseconds =
    nanoseconds === null ? findCount(read('unified', 'cpu.stat') ?? '', 'usage_usec') : Math.round(nanoseconds / 1e3);
  return {
    cpuSeconds: microseconds === null ? null : microseconds / 1e6,
    memoryBytes: readWhole(read('memory', isNew ? 'memory.current' : 'memory.usage_in_bytes')),
    tasks: readWhole(read('pids', 'pids.current')),
  };
}

/** A file that is one number, there in full. */
function readWhole(text: string | null): number | null {
  return text?.endsWith('\n') === true ? parseCount(text.slice(0, -1)) : null;
}
