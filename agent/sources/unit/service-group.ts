import { join } from 'node:path';

import { listDirectory } from '../../list-directory.ts';
import { findCgroupVersion, openCgroup, readUse, type CgroupUse } from '../cgroup.ts';

/** Slices are few, but for those of pods, of which there is one each and which hold no services. */
const SLICES_MAX = 200;
const LEFT_OUT = /^(kubepods|machine)\b/;

export type ServiceGroups = {
  /** Where the group of each service lies that runs, below the root of the hierarchy. */
  readonly paths: ReadonlyMap<string, string>;
  readonly read: (path: string) => CgroupUse;
};

/** Finds the control groups of all services. A host without memory control has a tree of systemd as well, that of v1. */
export function openServiceGroups(root: string): ServiceGroups {
  const version = findCgroupVersion(root) ?? 'v1';
  return {
    paths: findServices(join(root, version === 'v2' ? 'sys/fs/cgroup' : 'sys/fs/cgroup/systemd')),
    read: (path) => readUse(openCgroup({ root, version, pathOf: () => path })),
  };
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
