import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makeDirectory } from '../testing/spool.ts';
import { openLedger, type Step } from '../testing/spool-ledger.ts';

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      count: fc.nat(5),
      stepMs: fc.integer({ min: -2, max: 4 }),
      everyMs: fc.constant(1_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('flush', 'kill', 'close', 'event') }) },
  // So long an outage that all before it is given up.
  { weight: 1, arbitrary: fc.constant({ kind: 'add' as const, count: 1, stepMs: 5 * 3_600, everyMs: 3_600_000 }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('take' as const),
      newest: fc.boolean(),
      end: fc.constantFrom('settle', 'release', 'postpone', 'refuse', 'keep'),
    }),
  },
);

test('whatever happens, every sample that was flushed is delivered, or counted as dropped, exactly once', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const ledger = openLedger(makeDirectory());
      for (const one of steps) ledger.run(one);
      const { delivered, dropped, flushed, unsure, faults } = ledger.finish();
      expect(faults).toEqual([]);
      expect(delivered + dropped).toBeGreaterThanOrEqual(flushed);
      expect(delivered + dropped).toBeLessThanOrEqual(flushed + unsure);
    }),
    { numRuns: 300 },
  );
});
