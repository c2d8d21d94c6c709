import { expect, test } from 'vitest';

import { compareNumbered } from './compare-numbered.ts';

test('compareNumbered() orders by the numbers in names', () => {
  const names = ['temp10', 'temp2', 'nvme1n1', 'nvme0n10', 'nvme0n2', 'temp2_input'];
  const expected = ['nvme0n2', 'nvme0n10', 'nvme1n1', 'temp2', 'temp2_input', 'temp10'];
  expect(names.toSorted(compareNumbered)).toEqual(expected);
});
