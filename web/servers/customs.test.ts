import type { LatestValue } from '@muster/proto/api';
import { expect, test } from 'vitest';

import { formatCustom, listCustoms } from './customs.ts';

const about = { kind: 'gauge', unit: '' } as const;
const latest = (metric: string, labels: string, value: number | null): LatestValue => ({
  metric,
  labels,
  tsMs: 0,
  value,
  custom: about,
});
const VALUES = [
  latest('b', '', 1),
  latest('a', 'route=/b', 2),
  latest('a', String.raw`route=/a\,x`, null),
  { metric: 'system.uptime', labels: '', tsMs: 0, value: 1 },
];

test('listCustoms() lists what is not ours, by name and labels', () => {
  expect(listCustoms(VALUES)).toEqual([
    { metric: 'a', labels: 'route=/a,x', value: '–' },
    { metric: 'a', labels: 'route=/b', value: '2' },
    { metric: 'b', labels: '', value: '1' },
  ]);
});

test.for([
  [0.5, '1', '50 %'],
  [2048, 'By', '2.0 KiB'],
  [2048, 'By/s', '2.0 KiB/s'],
  [1.5, 's', '1.5 s'],
  [0.2512, 's', '251 ms'],
  [0.00025, 's', '250 µs'],
  [0, 's', '0 s'],
  [12.345, '{request}/s', '12.3 request/s'],
  [12, '/s', '12 /s'],
  [1234567, '', '1,234,567'],
  [1e-9, '', '1.00e-9'],
  [-3, 'Cel', '-3 Cel'],
  [null, 's', '–'],
] as const)('%d %s is written %s', ([value, unit, expected]) => {
  expect(formatCustom(value, { unit }).replaceAll('\u00a0', ' ')).toBe(expected);
});
