import type { LatestValue } from '@muster/proto/api';
import { formatLabels } from '@muster/proto/labels';
import { expect, test } from 'vitest';

import { type Container, describeState, isTroubled, listContainers } from './containers.ts';

const AT_MS = 1_000_000;

const latest = (
  name: string,
  metric: string,
  value: number | null,
  more: Readonly<Record<string, string>> = {},
): LatestValue => ({
  metric: `container.${metric}`,
  labels: formatLabels({ 'container.name': name, ...more }),
  tsMs: AT_MS,
  value,
});
const info = (name: string, image: string, tag: string): LatestValue =>
  latest(name, 'info', 1, { 'container.id': 'x', 'container.image.name': image, 'container.image.tags': tag });
const state = (name: string, word: string, value = 1): LatestValue =>
  latest(name, 'state', value, { 'container.state': word });

const ONE: Container = {
  name: 'a',
  image: '',
  state: 'running',
  exitCode: null,
  health: null,
  cores: null,
  memoryBytes: null,
  memoryLimitBytes: null,
  restarts: null,
};
const FULL = [
  info('a', 'registry.example.com:5000/shop', '1.2'),
  state('a', 'created', 0),
  state('a', 'running'),
  latest('a', 'health', 1, { 'container.health': 'healthy' }),
  latest('a', 'cpu.time', 0.25),
  latest('a', 'memory.usage', 8),
  latest('a', 'memory.working_set', 5),
  latest('a', 'memory.limit', 10),
  latest('a', 'restart.count', 2),
];

test.for<readonly [what: string, values: readonly LatestValue[], atMs: number, container: Container]>([
  [
    'all that there is',
    FULL,
    AT_MS,
    {
      ...ONE,
      image: 'registry.example.com:5000/shop:1.2',
      health: 'healthy',
      cores: 0.25,
      memoryBytes: 5,
      memoryLimitBytes: 10,
      restarts: 2,
    },
  ],
  [
    'the usage where the working set is not known',
    [info('a', 'shop', ''), state('a', 'running'), latest('a', 'memory.usage', 8)],
    AT_MS,
    { ...ONE, image: 'shop', memoryBytes: 8 },
  ],
  [
    'how it ended',
    [state('a', 'exited'), latest('a', 'exit_code', 137), { ...latest('a', 'memory.usage', 8), tsMs: AT_MS - 10_000 }],
    AT_MS,
    { ...ONE, state: 'exited', exitCode: 137 },
  ],
  [
    'only who it is, when the host is not heard',
    FULL,
    Infinity,
    { ...ONE, state: null, image: 'registry.example.com:5000/shop:1.2' },
  ],
])('listContainers() says of a container: %s', ([, values, atMs, container]) => {
  expect(listContainers(values, atMs)).toEqual([container]);
});

test('listContainers() has those in trouble first, then those that run, and not those that are gone', () => {
  const values = [
    state('ended', 'exited'),
    latest('ended', 'exit_code', 0),
    state('web-10', 'running'),
    state('web-2', 'running'),
    state('sick', 'running'),
    latest('sick', 'health', 1, { 'container.health': 'unhealthy' }),
    { ...state('gone', 'running'), tsMs: AT_MS - 10_000 },
  ];
  expect(listContainers(values, AT_MS).map(({ name }) => name)).toEqual(['sick', 'web-2', 'web-10', 'ended']);
});

test.for([
  [{}, false],
  [{ state: 'restarting' }, true],
  [{ state: 'dead' }, true],
  [{ state: 'exited', exitCode: 0 }, false],
  [{ state: 'exited', exitCode: 137 }, true],
  [{ state: 'exited' }, false],
  [{ health: 'unhealthy' }, true],
  [{ health: 'starting' }, false],
] as const)('isTroubled(%o) is %s', ([what, troubled]) => {
  expect(isTroubled({ ...ONE, ...what })).toBe(troubled);
});

test.for([
  [{}, 'running', ''],
  [{ health: 'healthy' }, 'running', 'healthy'],
  [{ health: 'unhealthy' }, 'unhealthy', 'running'],
  [{ state: 'exited', exitCode: 137 }, 'exited', 'code 137'],
  [{ state: null }, '–', ''],
] as const)('describeState(%o) is %s, and beside that %s', ([what, word, hint]) => {
  expect(describeState({ ...ONE, ...what })).toEqual({ word, hint });
});
