import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makeClockOffset } from './clock-offset.ts';

/** What is noted of a push that leaves at `atMs` of the collector's clock and takes so long, by a host so far ahead. */
function exchange(aheadMs: number, atMs: number, [thereMs, heldMs, backMs]: readonly [number, number, number]) {
  return {
    sentMs: atMs + aheadMs,
    receivedMs: atMs + thereMs + heldMs + backMs + aheadMs,
    nowMs: atMs + thereMs + heldMs,
    heldMs,
  };
}

test('the truth lies within what the offset may be wrong by, whatever the ways take', () => {
  const way = fc.nat({ max: 2_000 });
  fc.assert(
    fc.property(
      fc.integer({ min: -1e12, max: 1e12 }),
      fc.array(fc.tuple(way, way, way), { minLength: 1, maxLength: 80 }),
      (aheadMs, ways) => {
        const clock = makeClockOffset();
        for (const [i, one] of ways.entries()) clock.note(exchange(aheadMs, 1.8e12 + 5_000 * i, one));
        const { offsetSeconds = NaN, errorSeconds = NaN } = clock.read() ?? {};
        expect(Math.abs(offsetSeconds - aheadMs / 1_000)).toBeLessThanOrEqual(errorSeconds);
      },
    ),
  );
});

test.for([
  ['nothing was acknowledged', [], null],
  ['a collector tells no time', [{ sentMs: 5, receivedMs: 6 }], null],
  ['the clock was set back meanwhile', [{ sentMs: 9_000, receivedMs: 10, nowMs: 9_300, heldMs: 300 }], null],
  ['there is one exchange', [exchange(-2_500, 1e6, [10, 300, 10])], -2.5],
  ['of two the quicker counts', [exchange(70, 1e6, [1, 300, 1]), exchange(70, 2e5 + 1e6, [900, 300, 0])], 0.07],
  ['the quicker one is long ago', [exchange(70, 1e6, [1, 300, 1]), exchange(70, 1e7, [900, 300, 0])], -0.38],
  ['the clock was set since', [exchange(70, 1e6, [1, 300, 1]), exchange(-5_000, 1e6 + 5_000, [20, 300, 20])], -5],
] as const)('the offset when %s', ([, exchanges, offsetSeconds]) => {
  const clock = makeClockOffset();
  for (const one of exchanges) clock.note(one);
  expect(clock.read()?.offsetSeconds ?? null).toBe(offsetSeconds);
});
