import { expect, test } from 'vitest';

import { makeRoot } from '../testing/fixture.ts';
import { findCgroupVersion, openCgroup, readUse } from './cgroup.ts';

const TOP = 'sys/fs/cgroup';
const V2 = {
  [`${TOP}/cgroup.controllers`]: 'cpu memory pids\n',
  [`${TOP}/a/cpu.stat`]: 'usage_usec 28948\nuser_usec 1\n',
  [`${TOP}/a/memory.current`]: '331776\n',
  [`${TOP}/a/pids.current`]: '3\n',
};
const V1 = {
  [`${TOP}/cpuacct/a/cpuacct.usage`]: '28948682\n',
  [`${TOP}/memory/a/memory.usage_in_bytes`]: '331776\n',
  [`${TOP}/pids/a/pids.current`]: '3\n',
};

test.for([
  // what, its files, version, what is used
  ['v2', V2, 'v2', { cpuSeconds: 0.028_948, memoryBytes: 331_776, tasks: 3 }],
  ['v1, to the microsecond', V1, 'v1', { cpuSeconds: 0.028_949, memoryBytes: 331_776, tasks: 3 }],
  [
    'v1 with v2 beside it',
    { ...V1, [`${TOP}/cpuacct/a/cpuacct.usage`]: '', [`${TOP}/unified/a/cpu.stat`]: 'usage_usec 7\n' },
    'v1',
    { cpuSeconds: 0.000_007, memoryBytes: 331_776, tasks: 3 },
  ],
  [
    'numbers that are cut short',
    { ...V2, [`${TOP}/a/cpu.stat`]: 'usage_usec 28948', [`${TOP}/a/pids.current`]: '3' },
    'v2',
    { cpuSeconds: null, memoryBytes: 331_776, tasks: null },
  ],
  [
    'a group without controllers',
    { [`${TOP}/cgroup.controllers`]: '\n' },
    'v2',
    { cpuSeconds: null, memoryBytes: null, tasks: null },
  ],
] as const)('readUse() of %s', ([, files, version, expected]) => {
  const root = makeRoot(files);
  expect(findCgroupVersion(root)).toBe(version);
  expect(readUse(openCgroup({ root, version, pathOf: () => '/a' }))).toEqual(expected);
});

test('of a tree in which the group is not, nothing is read', () => {
  const pathOf = (controller: string) => (controller === 'memory' ? '/a' : undefined);
  const use = readUse(openCgroup({ root: makeRoot(V1), version: 'v1', pathOf }));
  expect(use).toEqual({ cpuSeconds: null, memoryBytes: 331_776, tasks: null });
  expect(findCgroupVersion(makeRoot({}))).toBe(null);
});
