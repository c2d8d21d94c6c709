import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { findSampleFault, makeRoot, readSamples } from '../testing/fixture.ts';
import { openStandInManager, type StandInManager, type UnitFixture } from '../testing/systemd.ts';
import { makeUnitSource, type UnitOptions } from './unit.ts';

const closing: { readonly close?: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const one of closing.splice(0)) await one.close?.();
});

// The files of two services in cgroup v2, as systemd 252 lays them out, and of one of them in v1.
const NEW = {
  'sys/fs/cgroup/cgroup.controllers': 'cpu memory pids\n',
  'sys/fs/cgroup/system.slice/nginx.service/cpu.stat': 'usage_usec 2500000\nuser_usec 1\nsystem_usec 1\n',
  'sys/fs/cgroup/system.slice/nginx.service/memory.current': '1048576\n',
  'sys/fs/cgroup/system.slice/nginx.service/pids.current': '3\n',
  'sys/fs/cgroup/system.slice/system-getty.slice/getty@tty1.service/pids.current': '1\n',
  'sys/fs/cgroup/kubepods.slice/odd.service/pids.current': '1\n',
};
const OLD = {
  'sys/fs/cgroup/systemd/system.slice/nginx.service/tasks': '',
  'sys/fs/cgroup/cpuacct/system.slice/nginx.service/cpuacct.usage': '2500000000\n',
  'sys/fs/cgroup/memory/system.slice/nginx.service/memory.usage_in_bytes': '1048576\n',
  'sys/fs/cgroup/pids/system.slice/nginx.service/pids.current': '3\n',
};
// Both at once, as Debian 10 has them: CPU time in v2, the rest in v1.
const BOTH = {
  ...OLD,
  'sys/fs/cgroup/cpuacct/system.slice/nginx.service/cpuacct.usage': '',
  'sys/fs/cgroup/unified/system.slice/nginx.service/cpu.stat': 'usage_usec 2500000\n',
};
const UNITS: readonly UnitFixture[] = [
  ['nginx.service', 'loaded', 'active', 2],
  ['getty@tty1.service', 'loaded', 'active', 0],
  ['gone.service', 'not-found', 'inactive'],
  ['never.service', 'loaded', 'inactive'],
  ['broken.mount', 'loaded', 'failed'],
  ['run-u7.service', 'loaded', 'failed'],
  ['basic.target', 'loaded', 'active'],
];

async function openManager(root: string): Promise<StandInManager> {
  const manager = await openStandInManager(join(root, 'run/dbus/system_bus_socket'));
  closing.push(manager);
  return manager;
}

function openSource(root: string, choice: Partial<UnitOptions> = {}) {
  const source = makeUnitSource({ root, include: null, exclude: [], ...choice });
  closing.unshift(source);
  return source;
}

function nameStates(samples: Readonly<Record<string, number>>): readonly string[] {
  return Object.entries(samples).flatMap(([key, value]) => {
    const found = /^systemd\.unit\.state\{systemd\.unit\.active_state=(\w+),systemd\.unit\.name=(.*)\}$/.exec(key);
    return found === null ? [] : `${found[2]} ${found[1]} ${value}`;
  });
}

test('units are counted by state, and services have their restarts, CPU, memory and tasks', async () => {
  const root = makeRoot(NEW);
  const manager = await openManager(root);
  manager.setUnits(UNITS);
  const samples = await readSamples(openSource(root));
  const nginx = '{systemd.unit.name=nginx.service}';
  expect(samples).toMatchObject({
    'systemd.unit.count{systemd.unit.active_state=active}': 3,
    'systemd.unit.count{systemd.unit.active_state=failed}': 2,
    'systemd.unit.count{systemd.unit.active_state=reloading}': 0,
    [`systemd.service.restarts${nginx}`]: 2,
    [`systemd.service.cpu.time${nginx}`]: 2.5,
    [`systemd.service.memory.usage${nginx}`]: 1_048_576,
    [`systemd.service.tasks${nginx}`]: 3,
    'systemd.service.tasks{systemd.unit.name=getty@tty1.service}': 1,
  });
  expect(nameStates(samples)).toEqual([
    'broken.mount failed 1',
    'nginx.service active 1',
    'getty@tty1.service active 1',
  ]);
});

test('a unit that changes its state is no longer in the one before, and one that was stopped is still told', async () => {
  const root = makeRoot(NEW);
  const manager = await openManager(root);
  const source = openSource(root);
  const told: (readonly string[])[] = [];
  for (const state of ['active', 'failed', 'inactive', 'active']) {
    manager.setUnits([['nginx.service', 'loaded', state, 0]]);
    told.push(nameStates(await readSamples(source)));
  }
  expect(told).toEqual([
    ['nginx.service active 1'],
    ['nginx.service active 0', 'nginx.service failed 1'],
    ['nginx.service active 0', 'nginx.service failed 0', 'nginx.service inactive 1'],
    ['nginx.service active 1', 'nginx.service failed 0', 'nginx.service inactive 0'],
  ]);
  expect(manager.countConnections()).toBe(1);
});

test.for([
  [NEW, ['getty@tty1.service', 'nginx.service']],
  [OLD, ['nginx.service']],
  [BOTH, ['nginx.service']],
] as const)('without a bus services are known by their control groups', async ([files, names]) => {
  const source = openSource(makeRoot(files));
  const reading = await source.read();
  if (!reading.ok) throw new Error(reading.error);
  expect(reading.value.remark).toContain('no states and restarts');
  expect(reading.value.samples.flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
  const samples = await readSamples(source);
  expect(samples['systemd.service.cpu.time{systemd.unit.name=nginx.service}']).toBe(2.5);
  expect(samples['systemd.service.memory.usage{systemd.unit.name=nginx.service}']).toBe(1_048_576);
  const named = new Set(Object.keys(samples).map((key) => /name=(.*)\}/.exec(key)?.[1] ?? ''));
  expect([...named].toSorted((a, b) => (a < b ? -1 : 1))).toEqual(names);
  expect(await source.diagnose?.()).toMatchObject([{ next: expect.stringContaining('install dbus') }]);
});

test('of a bus that does not know our user it is said what to do about it', async () => {
  const root = makeRoot(NEW);
  mkdirSync(join(root, 'run/dbus'), { recursive: true });
  const server = createServer((socket) => socket.destroy());
  closing.push({ close: async () => void server.close() });
  await new Promise<void>((resolve) => {
    server.listen(join(root, 'run/dbus/system_bus_socket'), resolve);
  });
  const source = openSource(root);
  const remark = expect.stringContaining('does not know the user of this process; give the service a user that stays');
  expect(await source.read()).toMatchObject({ ok: true, value: { remark } });
  expect(await source.diagnose?.()).toMatchObject([{ next: expect.stringContaining('useradd --system muster-agent') }]);
});

test('a machine without systemd has nothing to say, and says so', async () => {
  const source = openSource(makeRoot({}));
  expect(await source.read()).toMatchObject({
    ok: true,
    value: { samples: [], remark: expect.stringContaining('no systemd') },
  });
  expect(await source.diagnose?.()).toEqual([]);
});

test('a bus that comes back is used again, and one that sends garbage costs only what it would have told', async () => {
  const root = makeRoot(NEW);
  const manager = await openManager(root);
  manager.setUnits(UNITS);
  const source = openSource(root);
  expect(nameStates(await readSamples(source))).toHaveLength(3);
  manager.spoil(Buffer.from('garbage that is long enough to be a header'));
  const without = await readSamples(source);
  expect(nameStates(without)).toEqual([]);
  expect(without).toHaveProperty(['systemd.service.memory.usage{systemd.unit.name=nginx.service}']);
  await manager.close();
  const again = await openStandInManager(join(root, 'run/dbus/system_bus_socket'));
  closing[closing.length - 1] = again;
  again.setUnits(UNITS);
  expect(nameStates(await readSamples(source))).toHaveLength(3);
});

test('of very many services those with the least memory are left out, with a remark, and none that failed', async () => {
  const units = Array.from({ length: 250 }, (_, i): UnitFixture => [`s${i}.service`, 'loaded', 'active', 0]);
  const files = units.map(([name], i) => [`sys/fs/cgroup/system.slice/${name}/memory.current`, `${i + 1}\n`]);
  const root = makeRoot({ ...NEW, ...Object.fromEntries(files) });
  const manager = await openManager(root);
  manager.setUnits([...units, ['bad.service', 'loaded', 'failed', 9]]);
  const reading = await openSource(root).read();
  if (!reading.ok) throw new Error(reading.error);
  const names = reading.value.samples
    .filter(({ metric }) => metric === 'systemd.unit.state')
    .map(({ labels }) => labels);
  expect(names).toHaveLength(200);
  expect(names.join()).toContain('bad.service');
  expect(names.join()).not.toContain('=s0.service');
  expect(reading.value.remark).toContain('more than 200 services');
});

test.for([
  [{ include: ['*.target', 'ng*'] }, ['broken.mount', 'nginx.service', 'basic.target']],
  [{ exclude: ['broken*', 'getty@tty?.service'] }, ['nginx.service']],
  [{ include: [] }, ['broken.mount']],
] as const)('the configuration %o chooses %o', async ([choice, names]) => {
  const root = makeRoot(NEW);
  const manager = await openManager(root);
  manager.setUnits(UNITS);
  const states = nameStates(await readSamples(openSource(root, choice)));
  expect(states.map((state) => state.split(' ')[0])).toEqual(names);
});
