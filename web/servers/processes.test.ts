import type { LatestValue } from '@muster/proto/api';
import { formatLabels } from '@muster/proto/labels';
import { expect, test } from 'vitest';

import { listProcesses, type ProcessGroup } from './processes.ts';

const AT_MS = 1_000_000;
const MINUTE_MS = 60_000;

type Use = 'cpu.usage' | 'memory.usage' | 'disk.rate';

const latest = (name: string, use: Use, value: number, more: Readonly<Record<string, string>> = {}): LatestValue => ({
  metric: `process.${use}`,
  labels: formatLabels({ 'process.executable.name': name, 'process.owner': 'root', ...more }),
  tsMs: AT_MS,
  value,
});
const INFO: LatestValue = {
  metric: 'container.info',
  labels: formatLabels({ 'container.id': '0123456789ab', 'container.name': 'shop-db' }),
  tsMs: AT_MS,
  value: 1,
};
const ONE: ProcessGroup = {
  name: 'a',
  owner: 'root',
  place: '',
  commandLine: '',
  cores: null,
  memoryBytes: null,
  diskBytesPerSecond: null,
};

const list = (values: readonly LatestValue[], atMs = AT_MS): ProcessGroup[] =>
  listProcesses(new Map(values.map((value) => [`${value.metric}{${value.labels}}`, value])), atMs);

test.for<readonly [what: string, values: readonly LatestValue[], groups: readonly ProcessGroup[]]>([
  [
    'each with all that it uses, by CPU, then by memory',
    [
      latest('b', 'memory.usage', 5),
      latest('c', 'memory.usage', 9),
      latest('a', 'cpu.usage', 0.5),
      latest('a', 'memory.usage', 1),
      latest('a', 'disk.rate', 4096),
      latest('d', 'cpu.usage', 2),
    ],
    [
      { ...ONE, name: 'd', cores: 2 },
      { ...ONE, cores: 0.5, memoryBytes: 1, diskBytesPerSecond: 4096 },
      { ...ONE, name: 'c', memoryBytes: 9 },
      { ...ONE, name: 'b', memoryBytes: 5 },
    ],
  ],
  [
    'without those that are no longer among them, and without what one no longer uses',
    [
      { ...latest('gone', 'cpu.usage', 8), tsMs: AT_MS - 10_000 },
      { ...latest('a', 'cpu.usage', 8), tsMs: AT_MS - 10_000 },
      latest('a', 'memory.usage', 1),
    ],
    [{ ...ONE, memoryBytes: 1 }],
  ],
  [
    'by where they run, a container by its name',
    [
      INFO,
      latest('a', 'cpu.usage', 3, { 'container.id': `0123456789ab${'0'.repeat(52)}` }),
      latest('a', 'cpu.usage', 2, { 'container.id': 'ffffffffffffff' }),
      latest('a', 'cpu.usage', 1, { 'process.command_line': 'a -b', 'systemd.unit.name': 'a.service' }),
    ],
    [
      { ...ONE, cores: 3, place: 'container shop-db' },
      { ...ONE, cores: 2, place: 'container ffffffffffff' },
      { ...ONE, cores: 1, place: 'a.service', commandLine: 'a -b' },
    ],
  ],
  ['none where the host tells of none', [INFO], []],
])('listProcesses() lists processes %s', ([, values, groups]) => {
  expect(list(values)).toEqual(groups);
});

test.for([
  [AT_MS + 3 * MINUTE_MS, 8],
  [AT_MS + 3 * MINUTE_MS + 1, null],
  [Infinity, null],
] as const)('at %f ms the CPU of a reading at 1000000 ms is %f', ([atMs, cores]) => {
  expect(list([latest('a', 'cpu.usage', 8)], atMs)).toEqual([{ ...ONE, cores }]);
});
