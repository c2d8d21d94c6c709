import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sharesOf } from './rate.ts';

const KEYS = ['a', 'b', 'c'] as const;
const WAVERING = new Set(['c'] as const);

test.for([
  // previous, current, shares
  [
    { a: 0, b: 0, c: 0 },
    { a: 1, b: 3, c: 0 },
    { a: 0.25, b: 0.75, c: 0 },
  ],
  [
    { a: 5, b: 5, c: 5 },
    { a: 6, b: 6, c: 4 },
    { a: 0.5, b: 0.5, c: 0 },
  ], // c wavers
  [{ a: 5, b: 5, c: 5 }, { a: 4, b: 6, c: 6 }, null], // a was reset
  [{ a: 5, b: 5, c: 5 }, { a: 5, b: 5, c: 5 }, null], // no time has passed
  [{ a: 5, b: 5, c: 5 }, { a: 5, b: 5, c: 4 }, null],
] as const)('sharesOf(%o → %o) is %o', ([previous, current, shares]) => {
  expect(sharesOf(KEYS, previous, current, WAVERING)).toEqual(shares);
});

test('sharesOf() is between 0 and 1 and adds up to 1, or null', () => {
  const counter = fc.double({ min: 0, max: 1e15, noNaN: true });
  const counters = fc.record({ a: counter, b: counter, c: counter });
  fc.assert(
    fc.property(counters, counters, (previous, current) => {
      const shares = sharesOf(KEYS, previous, current, WAVERING);
      if (shares === null) return;
      const list = Object.values(shares);
      expect(list.every((share) => share >= 0 && share <= 1)).toBe(true);
      expect(list.reduce((sum, share) => sum + share)).toBeCloseTo(1, 4);
    }),
  );
});
