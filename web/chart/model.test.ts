import { expect, test } from 'vitest';

import { indexAt, type Line, valueAt } from './model.ts';

const line: Line = {
  group: 'a',
  side: '',
  colour: 0,
  below: false,
  tsMs: [10, 20, 30],
  values: [1, Number.NaN, 3],
};

test.for([
  [9, -1],
  [10, 0],
  [19, 0],
  [20, 1],
  [99, 2],
] as const)('indexAt([10, 20, 30], %i) is %i', ([atMs, index]) => expect(indexAt(line.tsMs, atMs)).toBe(index));

test.for([
  [9, 5, null],
  [10, 5, 1],
  [15, 5, 1],
  [16, 5, null],
  [20, 5, null],
  [33, 5, 3],
] as const)('valueAt(%i) with a hold of %i is %o', ([atMs, holdMs, value]) =>
  expect(valueAt(line, atMs, holdMs)).toBe(value),
);
