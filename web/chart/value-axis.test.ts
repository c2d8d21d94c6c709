import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makeValueAxis, pickValueStep, valueTickLabel } from './value-axis.ts';

const GIB = 1024 ** 3;

test.for([
  [0.25, 'ratio', 0.25],
  [0.3, 'ratio', 0.5],
  [7, 'number', 10],
  [1000, 'rate', 1000],
  [0.25, 'rate', 0.5],
  [3 * GIB, 'bytes', 4 * GIB],
  [600 * 1024, 'byte-rate', 1024 ** 2],
  [1, 'bytes', 1],
] as const)('pickValueStep(%d, %s) is %d', ([least, quantity, step]) =>
  expect(pickValueStep(least, quantity)).toBeCloseTo(step),
);

const KIB = 1024;

test.for([
  // peak, depth, limit, quantity, min, max, ticks
  [0.4, null, 1, 'ratio', 0, 1, [0, 0.25, 0.5, 0.75, 1]],
  [0.9, null, null, 'ratio', 0, 1, [0, 0.25, 0.5, 0.75, 1]],
  [1.2, null, null, 'ratio', 0, 1.5, [0, 0.5, 1, 1.5]],
  [0, null, null, 'number', 0, 1, [0, 0.25, 0.5, 0.75, 1]],
  [3.2, null, null, 'number', 0, 4, [0, 1, 2, 3, 4]],
  [9 * GIB, null, 15 * GIB, 'bytes', 0, 15 * GIB, [0, 4 * GIB, 8 * GIB, 12 * GIB]],
  [3 * GIB, GIB, null, 'byte-rate', -GIB, 3 * GIB, [-GIB, 0, GIB, 2 * GIB, 3 * GIB]],
  [3 * GIB, 1, null, 'byte-rate', -GIB, 3 * GIB, [-GIB, 0, GIB, 2 * GIB, 3 * GIB]],
  [0, 0, null, 'byte-rate', -KIB, KIB, [-KIB, -KIB / 2, 0, KIB / 2, KIB]],
] as const)('makeValueAxis(peak %d, depth %o, limit %o, %s)', ([peak, depth, limit, quantity, min, max, ticks]) => {
  const axis = makeValueAxis({ peak, depth, limit, quantity });
  expect([axis.min, axis.max]).toEqual([min, max]);
  expect(axis.ticks.map((tick) => tick + 0)).toEqual(ticks);
});

test.for([
  [0.25, 'ratio', '25 %'],
  [1, 'number', '1'],
  [1.5, 'number', '1.5'],
  [0.25, 'number', '0.25'],
  [100, 'number', '100'],
  [-2 * GIB, 'byte-rate', '2 GiB/s'],
  [0, 'bytes', '0 B'],
  [0.5, 'rate', '0.5/s'],
] as const)('valueTickLabel(%d, %s) is %s', ([value, quantity, label]) =>
  expect(valueTickLabel(value, quantity).replaceAll('\u00a0', ' ')).toBe(label),
);

test('makeValueAxis() always holds what it was made for, with few ticks', () => {
  const amount = fc.nat().map((thousandths) => thousandths / 1000);
  fc.assert(
    fc.property(
      amount,
      amount,
      fc.constantFrom('ratio', 'bytes', 'byte-rate', 'rate', 'number'),
      (peak, depth, quantity) => {
        const axis = makeValueAxis({ peak, depth, limit: null, quantity });
        expect(axis.max).toBeGreaterThanOrEqual(peak);
        expect(-axis.min).toBeGreaterThanOrEqual(depth);
        expect(axis.max).toBeGreaterThan(axis.min);
        expect(axis.ticks.length).toBeLessThanOrEqual(8);
      },
    ),
  );
});
