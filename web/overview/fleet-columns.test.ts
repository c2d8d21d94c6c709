import type { HostRow } from '@muster/proto/api';
import { expect, test } from 'vitest';

import { compareRows, matchesFilter, nextSort, parseSort } from './fleet-columns.ts';

const row = (host: string, known: Partial<HostRow> = {}): HostRow => ({
  host,
  name: host,
  status: 'up',
  lastMs: null,
  arrivedMs: null,
  everyMs: null,
  cpuRatio: null,
  memoryRatio: null,
  memoryBytes: null,
  diskRatio: null,
  diskMountpoint: null,
  receiveBytesPerSecond: null,
  transmitBytesPerSecond: null,
  load1: null,
  cores: null,
  uptimeSeconds: null,
  clockOffsetMs: null,
  labels: { role: 'web', env: 'prod' },
  ...known,
});
const fleet = [
  row('web-10', { cpuRatio: 0.5 }),
  row('web-2', { cpuRatio: 0.9, status: 'silent' }),
  row('db', { cpuRatio: null, status: 'new' }),
  row('cache', { cpuRatio: 0.5 }),
  row('copy', { cpuRatio: 0.1, status: 'quarantined' }),
];

test.for([
  ['name', 'ascending', ['cache', 'copy', 'db', 'web-2', 'web-10']],
  ['name', 'descending', ['web-10', 'web-2', 'db', 'copy', 'cache']],
  ['cpu', undefined, ['web-2', 'cache', 'web-10', 'copy', 'db']],
  ['cpu', 'ascending', ['copy', 'cache', 'web-10', 'web-2', 'db']],
  ['status', undefined, ['copy', 'web-2', 'db', 'cache', 'web-10']],
  ['nonsense', 'sideways', ['cache', 'copy', 'db', 'web-2', 'web-10']],
] as const)('compareRows() by %s %s', ([key, direction, hosts]) => {
  const sort = parseSort(key, direction);
  expect(fleet.toSorted((a, b) => compareRows(a, b, sort)).map(({ host }) => host)).toEqual(hosts);
});

test('nextSort() starts with the end one wants to see and turns round', () => {
  const byCpu = nextSort(parseSort('name', undefined), parseSort('cpu', undefined).column);
  expect([byCpu.column.key, byCpu.direction]).toEqual(['cpu', 'descending']);
  expect(nextSort(byCpu, byCpu.column).direction).toBe('ascending');
});

test.for([
  ['', true],
  ['WEB', true],
  ['web silent', true],
  ['web up', false],
  ['role=web env=prod', true],
  ['role=db', false],
  [' 10 ', false],
] as const)('matchesFilter() of a silent web-2 by %o is %s', ([filter, matches]) =>
  expect(matchesFilter(row('web-2', { status: 'silent' }), filter)).toBe(matches),
);
