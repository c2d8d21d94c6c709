import { expect, test } from 'vitest';

import { counterRise, findMetric, METRICS } from './metric.ts';

test.for([
  [1, 3, 2],
  [3, 3, 0],
  [3, 1, null],
  [NaN, 1, null],
] as const)('counterRise(%d, %d) is %d', ([previous, current, rise]) => {
  expect(counterRise(previous, current)).toBe(rise);
});

test('METRICS has label keys sorted, as they stand in canonical text', () => {
  for (const metric of Object.values(METRICS))
    for (const keys of metric.labels) expect(keys).toEqual([...keys].toSorted());
});

test.for(['constructor', '__proto__', 'system.cpu'])('findMetric(%s) is null', (name) => {
  expect(findMetric(name)).toBeNull();
});
