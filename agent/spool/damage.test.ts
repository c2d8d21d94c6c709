import fc from 'fast-check';
import { expect, test } from 'vitest';

import { damageSpool } from '../testing/damage.ts';

test('a spool with flipped bits and a torn end starts, delivers every intact record, and counts what is lost', () => {
  const seen = { hit: 0, lost: 0, blind: 0 };
  fc.assert(
    fc.property(fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })), (numbers) => {
      const result = damageSpool(() => Number(numbers.next().value));
      const miscounted = result.isBlind ? 0 : result.counted - result.lost;
      expect({ ...result, miscounted }).toMatchObject({ intactNotDelivered: 0, wrong: 0, miscounted: 0 });
      seen.hit += result.hit;
      seen.lost += result.lost;
      seen.blind += result.isBlind ? 1 : 0;
    }),
    { numRuns: 300 },
  );
  expect(Math.min(seen.hit, seen.lost, seen.blind)).toBeGreaterThan(0);
});
