import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../../testing/any-text.ts';
import { idOf, makeCgroupFiles } from '../../testing/engine.ts';
import { makeRoot } from '../../testing/fixture.ts';
import { findCgroupVersion } from '../cgroup.ts';
import { findGroups, readCgroup } from './cgroup.ts';

const ID = idOf('a');
const PROCESS = { id: ID, pid: 77, hasNetwork: true };

test('readCgroup() with v2', () => {
  const root = makeRoot(makeCgroupFiles(ID, 77, { cpuSeconds: 5, memoryBytes: 9_000, receivedBytes: 11 }));
  expect(findCgroupVersion(root)).toBe('v2');
  expect(readCgroup(root, PROCESS)).toEqual({
    counts: { cpu: 5, throttled: 0.5, oomKills: 1, received: 11, transmitted: 77, read: 4_097, written: 8_194 },
    memoryBytes: 9_000,
    inactiveFileBytes: 1_024,
    threads: 7,
  });
  expect(readCgroup(root, { ...PROCESS, hasNetwork: false })?.counts).not.toHaveProperty('received');
});

/** As Linux 6.18 with Podman shows them (`cgroup-manager=cgroupfs`), shortened, with other numbers. */
const V1_FILES = {
  'proc/77/cgroup': ['pids', 'blkio', 'memory', 'cpu,cpuacct', 'name=systemd', '']
    .map((controllers, i) => `${9 - i}:${controllers}:/libpod_parent/libpod-${ID}\n`)
    .join(''),
  ...Object.fromEntries(
    Object.entries({
      'cpuacct/cpuacct.usage': '28948682\n',
      'cpu/cpu.stat': 'nr_periods 4\nnr_throttled 2\nthrottled_time 1500000000\nnr_bursts 0\nburst_time 0\n',
      'memory/memory.usage_in_bytes': '331776\n',
      'memory/memory.stat': 'cache 0\ninactive_file 1\ntotal_cache 0\ntotal_inactive_file 4096\ntotal_active_file 0\n',
      'memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
      'pids/pids.current': '1\n',
      'blkio/blkio.throttle.io_service_bytes': '8:0 Read 10\n8:0 Write 20\n8:0 Total 30\n8:16 Read 1\nTotal 31\n',
    }).map(([path, text]) => {
      const [controller, file] = path.split('/');
      return [`sys/fs/cgroup/${controller}/libpod_parent/libpod-${ID}/${file}`, text];
    }),
  ),
};

test('readCgroup() with v1', () => {
  const root = makeRoot(V1_FILES);
  expect(findCgroupVersion(root)).toBe('v1');
  expect(readCgroup(root, PROCESS)).toEqual({
    counts: { cpu: 0.028949, throttled: 1.5, oomKills: 2, read: 11, written: 20 },
    memoryBytes: 331_776,
    inactiveFileBytes: 4_096,
    threads: 1,
  });
});

test('readCgroup() with v1 takes CPU time from v2 beside it, where systemd has it counted there alone', () => {
  const cpuacct = `sys/fs/cgroup/cpuacct/libpod_parent/libpod-${ID}/cpuacct.usage`;
  const cpuStat = `sys/fs/cgroup/unified/libpod_parent/libpod-${ID}/cpu.stat`;
  const root = makeRoot({ ...V1_FILES, [cpuacct]: '', [cpuStat]: 'usage_usec 2500000\nuser_usec 1\n' });
  expect(readCgroup(root, PROCESS)).toMatchObject({ counts: { cpu: 2.5, throttled: 1.5 }, memoryBytes: 331_776 });
});

test.for([
  // what, /proc/<pid>/cgroup, the groups
  ['Docker with systemd', `0::/system.slice/docker-${ID}.scope\n`, [['', `/system.slice/docker-${ID}.scope`]]],
  ['Docker with cgroupfs', `0::/docker/${ID}\n`, [['', `/docker/${ID}`]]],
  ['Podman', `0::/machine.slice/libpod-${ID}.scope/container\n`, [['', `/machine.slice/libpod-${ID}.scope`]]],
  ['a systemd inside', `0::/docker/${ID}/init.scope\n`, [['', `/docker/${ID}`]]],
  ['a compose slice', `0::/shop.slice/docker-${ID}.scope\n`, [['', `/shop.slice/docker-${ID}.scope`]]],
  [
    'v1',
    `4:memory:/docker/${ID}\n3:cpu,cpuacct:/docker/${ID}\n`,
    [
      ['memory', `/docker/${ID}`],
      ['cpu', `/docker/${ID}`],
      ['cpuacct', `/docker/${ID}`],
    ],
  ],
  ['another container', `0::/docker/${idOf('b')}\n`, []],
  ['a process of the host', '0::/system.slice/sshd.service\n', []],
  ['another namespace', `0::/../../docker-${ID}.scope\n`, []],
  ['a line cut short', `0::/docker/${ID}`, []],
] as const)('findGroups() of %s', ([, text, expected]) => {
  expect([...findGroups(text, ID)]).toEqual(expected);
});

test('readCgroup() is null for a process that is not there, or whose group is gone', () => {
  const root = makeRoot(makeCgroupFiles(ID, 77));
  expect(readCgroup(root, { ...PROCESS, pid: 0 })).toBe(null);
  expect(readCgroup(root, { ...PROCESS, pid: 78 })).toBe(null);
  rmSync(join(root, 'sys/fs/cgroup/system.slice'), { recursive: true });
  expect(readCgroup(root, PROCESS)).toBe(null);
  expect(findCgroupVersion(makeRoot({}))).toBe(null);
});

test.for([makeCgroupFiles(ID, 77, { cpuSeconds: 5 }), V1_FILES])(
  'readCgroup() never throws, and every number that it takes is one, whichever of its files is missing or garbage',
  (files) => {
    const root = makeRoot(files);
    const paths = Object.keys(files).filter((path) => !path.endsWith('controllers'));
    const withText = fc.constantFrom(...paths).chain((path) => {
      const good = Object.entries(files).find(([one]) => one === path)?.[1] ?? '';
      return fc.tuple(fc.constant(path), fc.constant(good), fc.option(anyTextLike(good)));
    });
    fc.assert(
      fc.property(withText, ([path, good, text]) => {
        if (text === null) rmSync(join(root, path));
        else writeFileSync(join(root, path), text);
        const usage = readCgroup(root, PROCESS);
        writeFileSync(join(root, path), good);
        const { counts = {}, ...rest } = usage ?? {};
        const values = [...Object.values(counts), ...Object.values(rest)].filter((value) => value !== null);
        expect(values.filter((value) => !(value >= 0))).toEqual([]);
      }),
    );
  },
);
