import { expect, test } from 'vitest';

import { nearestIndex } from './find-in-time.ts';

const points = [
  [0, 1],
  [10, 2],
  [10, Number.NaN],
  [40, 3],
].map(([x = 0, y = 0]) => ({ x, y, value: y }));

test.for([
  [-3, 5, 0],
  [4, 10, 0],
  [6, 10, 1],
  [14, 5, 1],
  [25, 5, null],
  [44, 5, 3],
  [90, 5, null],
] as const)('nearestIndex() at %i within %i is %o', ([atMs, reachMs, index]) =>
  expect(nearestIndex(points, atMs, reachMs)).toBe(index),
);
