import { expect, test } from 'vitest';

import { readFixture } from '../testing/fixture.ts';
import { findCount, parseFields } from './fields.ts';

test.for([
  ['pgfault 463149744\n', [['pgfault', 463_149_744]]],
  ['MemFree:   10 kB\nHugePages_Total:       3\n', Object.entries({ MemFree: 10_240, HugePages_Total: 3 })],
  ['Active(anon): 1 kB\nlow 0x1\na b\n 7\npgin 1 MB\nnegative -1\n', []],
  ['whole 1\ncut 2', [['whole', 1]]],
] as const)('parseFields(%o) has %o', ([text, fields]) => {
  expect([...parseFields(text)]).toEqual(fields);
});

test.for([
  ['usage_usec 47\nuser_usec 1\n', 'usage_usec', 47],
  ['usage_usec 47\nuser_usec 1\n', 'user_usec', 1],
  ['usage_usec 47\nuser_usec 1', 'user_usec', null], // cut short
  ['total_inactive_file 5\ninactive_file 7\n', 'inactive_file', 7],
  ['total_inactive_file 5\n', 'inactive_file', null],
  ['cpu 1 2\nintr 99 0 0 1\n', 'intr', 99],
  ['intr x\n', 'intr', null],
  [`intr ${'9'.repeat(21)}\n`, 'intr', null],
  ['', 'intr', null],
] as const)('findCount(%o, %s) is %s', ([text, name, count]) => {
  expect(findCount(text, name)).toBe(count);
});

test('findCount() finds what parseFields() does', () => {
  const text = readFixture('proc/vmstat');
  const fields = parseFields(text);
  expect(fields.size).toBeGreaterThan(50);
  for (const [name, value] of fields) expect(findCount(text, name)).toBe(value);
});
