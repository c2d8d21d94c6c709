import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makeValueAxis, pickValueStep } from './value-axis.ts';

const GIB = 1024 ** 3;

test.for([
  [0.25, 'ratio', 0.25],
  [0.3, 'ratio', 0.5],
  [7, 'number', 10],
  [1000, 'rate', 1000],
  [3 * GIB, 'bytes', 4 * GIB],
  [600 * 1024, 'byte-rate', 1024 ** 2],
  [1, 'bytes', 1],
] as const)('pickValueStep(%d, %s) is %d', ([least, quantity, step]) =>
  expect(pickValueStep(least, quantity)).toBeCloseTo(step),
);

test.for([
  // peak, depth, limit, quantity, min, max, ticks
  [0.4, 0, 1, 'ratio', 0, 1, [0, 0.25, 0.5, 0.75, 1]],
  [0, 0, null, 'number', 0, 1, [0, 0.25, 0.5, 0.75, 1]],
  [3.2, 0, null, 'number', 0, 4, [0, 1, 2, 3, 4]],
  [9 * GIB, 0, 15 * GIB, 'bytes', 0, 15 * GIB, [0, 4 * GIB, 8 * GIB, 12 * GIB]],
  [3 * GIB, GIB, null, 'byte-rate', -GIB, 3 * GIB, [-GIB, 0, GIB, 2 * GIB, 3 * GIB]],
  [0, 0.5 * GIB, null, 'byte-rate', -0.5 * GIB, 0, [-512, -384, -256, -128, 0].map((mib) => mib * 1024 ** 2)],
] as const)('makeValueAxis(peak %d, depth %d, limit %o, %s)', ([peak, depth, limit, quantity, min, max, ticks]) => {
  const axis = makeValueAxis({ peak, depth, limit, quantity });
  expect([axis.min + 0, axis.max]).toEqual([min, max]);
  expect(axis.ticks.map((tick) => tick + 0)).toEqual(ticks);
});

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
