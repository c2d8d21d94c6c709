import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, makeRoot, readFixture, readSamples } from '../testing/fixture.ts';
import { makeCpuSource, parseCpu, readCpu } from './cpu.ts';

test('readCpu() takes seconds by mode and core from a captured machine', () => {
  const cpu = readCpu(DEBIAN);
  expect(cpu.ok && cpu.value.all).toEqual({
    user: 40.66,
    nice: 0,
    system: 40.01,
    idle: 3378.72,
    iowait: 4.9,
    interrupt: 0,
    softirq: 0.56,
    steal: 0.41,
  });
  expect(cpu.ok && [...cpu.value.cores.keys()]).toEqual(['0', '1']);
});

test.for([
  // what, text, modes in hundredths of a second
  ['Linux 2.4 (4 columns)', 'cpu 1 2 3 4\n', [1, 2, 3, 4, 0, 0, 0, 0]],
  ['Linux 2.6.0 (7 columns)', 'cpu  1 2 3 4 5 6 7\n', [1, 2, 3, 4, 5, 6, 7, 0]],
  ['guest in user already', 'cpu  9 2 3 4 5 6 7 8 9 2\n', [9, 2, 3, 4, 5, 6, 7, 8]],
  ['more columns than are known', 'cpu  1 2 3 4 5 6 7 8 9 10 11 12\n', [1, 2, 3, 4, 5, 6, 7, 8]],
] as const)('parseCpu() reads %s', ([, text, modes]) => {
  const cpu = parseCpu(text);
  expect(cpu.ok && Object.values(cpu.value.all).map((seconds) => Math.round(seconds * 100))).toEqual(modes);
});

test.for(['', 'cpu\n', 'cpu 1 2 3\n', 'cpu 1 2 x 4\n', 'cpu 1 2 3 4', 'intr 1 2 3 4\n'])(
  'parseCpu(%o) is an error',
  (text) => {
    expect(parseCpu(text).ok).toBe(false);
  },
);

test('parseCpu() takes every core of a large machine', () => {
  const cores = Array.from({ length: 512 }, (_, core) => `cpu${core} 1 2 3 4 5 6 7 8 0 0\n`).join('');
  const cpu = parseCpu(`cpu  1 2 3 4 5 6 7 8 0 0\n${cores}intr 1\n`);
  expect(cpu.ok && cpu.value.cores.size).toBe(512);
});

test('parseCpu() never throws, and of a text cut short it takes only whole lines', () => {
  const good = readFixture('proc/stat');
  fc.assert(fc.property(anyTextLike(good), (text) => void parseCpu(text)));
  const whole = parseCpu(good);
  fc.assert(
    fc.property(fc.nat(good.length), (end) => {
      const cut = parseCpu(good.slice(0, end));
      if (!cut.ok || !whole.ok) return;
      expect(cut.value.all).toEqual(whole.value.all);
      for (const [core, times] of cut.value.cores) expect(times).toEqual(whole.value.cores.get(core));
    }),
  );
});

test('the cpu source gives utilization from the second reading on, and none across a reset', async () => {
  const root = mkdtempSync(join(tmpdir(), 'muster-'));
  mkdirSync(join(root, 'proc'));
  const source = makeCpuSource(root);
  const read = async (text: string) => {
    writeFileSync(join(root, 'proc/stat'), text);
    const samples = await readSamples(source);
    return Object.fromEntries(Object.entries(samples).filter(([name]) => name.startsWith('system.cpu.utilization')));
  };
  expect(await read('cpu  100 0 100 800 0 0 0 0\ncpu0 100 0 100 800 0 0 0 0\n')).toEqual({});
  // iowait falls by 5, as the kernel warns it may: no share, and nothing negative.
  await read('cpu  100 0 100 800 10 0 0 0\ncpu0 100 0 100 800 10 0 0 0\n');
  expect(await read('cpu  125 0 125 850 5 0 0 0\ncpu0 150 0 150 800 5 0 0 0\n')).toEqual({
    'system.cpu.utilization{}': 0.5,
    'system.cpu.utilization{cpu.mode=user}': 0.25,
    'system.cpu.utilization{cpu.mode=nice}': 0,
    'system.cpu.utilization{cpu.mode=system}': 0.25,
    'system.cpu.utilization{cpu.mode=idle}': 0.5,
    'system.cpu.utilization{cpu.mode=iowait}': 0,
    'system.cpu.utilization{cpu.mode=interrupt}': 0,
    'system.cpu.utilization{cpu.mode=softirq}': 0,
    'system.cpu.utilization{cpu.mode=steal}': 0,
    'system.cpu.utilization{cpu=0}': 1,
  });
  expect(await read('cpu  1 0 1 8 0 0 0 0\ncpu0 1 0 1 8 0 0 0 0\n')).toEqual({});
});

test('cores that are switched off and on again, and a guest that is set back, make no impossible share', async () => {
  const stat = (cores: Readonly<Record<string, readonly number[]>>) =>
    Object.entries(cores)
      .map(([name, ticks]) => `${name} ${ticks.join(' ')} 0 0 0 0 0 0\n`)
      .join('');
  const root = makeRoot({ 'proc/stat': '' });
  const source = makeCpuSource(root);
  const read = async (text: string) => {
    writeFileSync(join(root, 'proc/stat'), text);
    const samples = await readSamples(source);
    return Object.fromEntries(Object.entries(samples).filter(([name]) => /utilization\{(cpu=.)?\}/.test(name)));
  };
  const all = 'system.cpu.utilization{}';
  const core = (number: number) => `system.cpu.utilization{cpu=${number}}`;
  expect(await read(stat({ cpu: [20, 0, 0, 20], cpu0: [10, 0, 0, 10], cpu1: [10, 0, 0, 10] }))).toEqual({});
  expect(await read(stat({ cpu: [30, 0, 0, 30], cpu0: [20, 0, 0, 20] }))).toEqual({ [all]: 0.5, [core(0)]: 0.5 });
  // Back again: nobody knows what it did meanwhile, and its idle time may have been counted from 0.
  const back = stat({ cpu: [40, 0, 0, 30], cpu0: [30, 0, 0, 20], cpu1: [10, 0, 0, 0] });
  expect(await read(back)).toEqual({ [all]: 1, [core(0)]: 1 });
  const later = stat({ cpu: [40, 0, 0, 50], cpu0: [30, 0, 0, 30], cpu1: [10, 0, 0, 10] });
  expect(await read(later)).toEqual({ [all]: 0, [core(0)]: 0, [core(1)]: 0 });
  expect(await read(stat({ cpu: [1, 0, 0, 1], cpu0: [1, 0, 0, 1] }))).toEqual({});
});
