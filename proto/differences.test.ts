import fc from 'fast-check';
import { expect, test } from 'vitest';

import { decodeDifferences, encodeDifferences, type Before } from './differences.ts';

const SAMPLE = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.integer({ min: -1e9, max: 1e9 }).map((units) => units / 1e5),
  fc.constantFrom(NaN, 0, -0, Infinity, -Infinity, 2 ** 53, -(2 ** 53), 2 ** 48, 5e-324, 1e300),
);

/** Of series after none of which a hole came, but where nothing came at all. */
function after(values: Iterable<number>): Before {
  const all = Float64Array.from(values);
  return { values: all, holes: Uint8Array.from(all, (value) => (Number.isNaN(value) ? 1 : 0)) };
}

function arbitrarySamples(): fc.Arbitrary<{ before: Before; values: Float64Array; ticks: number }> {
  return fc.tuple(fc.nat({ max: 12 }), fc.nat({ max: 4 })).chain(([series, ticks]) =>
    fc
      .tuple(
        fc.array(SAMPLE, { minLength: series, maxLength: series }),
        fc.array(fc.nat({ max: 1 }), { minLength: series, maxLength: series }),
        fc.array(SAMPLE, { minLength: series * ticks, maxLength: series * ticks }),
      )
      .map(([last, holes, values]) => ({
        before: { values: Float64Array.from(last), holes: Uint8Array.from(holes) },
        values: Float64Array.from(values),
        ticks,
      })),
  );
}

test('decodeDifferences() gives back what encodeDifferences() took, bit by bit', () => {
  fc.assert(
    fc.property(arbitrarySamples(), ({ before, values, ticks }) => {
      const decoded = decodeDifferences(encodeDifferences(values, before), before, ticks);
      expect(decoded.ok && [...decoded.value]).toEqual([...values]); // toEqual tells 0 from -0
    }),
    { numRuns: 2000 },
  );
});

test('decodeDifferences() never throws, and gives as many values as were asked for', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat({ max: 20 }), fc.nat({ max: 3 }), (bytes, series, ticks) => {
      const before = after(new Float64Array(series).fill(7));
      const decoded = decodeDifferences(bytes, before, ticks);
      expect(decoded.ok ? decoded.value.length : series * ticks).toBe(series * ticks);
    }),
    { numRuns: 5000 },
  );
});

test.for([
  // what, before, values, bytes
  ['nothing changes', [1, 0.25, NaN], [1, 0.25, NaN], 1],
  ['a count goes on', [1_000_000], [1_000_003], 1 + 1],
  ['seconds of the kernel go on', [81_234.56], [81_239.55], 1 + 2],
  ['a ratio changes', [0.01234], [0.04567], 1 + 3],
  ['a series ends', [1], [NaN], 1 + 1],
  ['a fraction with all its bits', [1], [1 / 3], 1 + 1 + 8],
] as const)('encodeDifferences() is short: %s', ([, before, values, bytes]) => {
  expect(encodeDifferences(Float64Array.from(values), after(before))).toHaveLength(bytes);
});

test('a series that comes now and then costs nothing in between, and goes on from its last value', () => {
  const before = { values: Float64Array.of(1_000_000), holes: Uint8Array.of(1) };
  expect(encodeDifferences(Float64Array.of(NaN), before)).toEqual(Uint8Array.of(0));
  expect(encodeDifferences(Float64Array.of(NaN, NaN, 1_000_003), before)).toHaveLength(1 + 1);
});

test.for([
  ['no mask', [], 'cut short'],
  ['a change that is not there', [1], 'cut short'],
  ['a number without an end', [1, 128, 128, 128, 128, 128, 128, 128, 128, 128], 'cut short'],
  ['half a value', [1, 15, 0, 0, 0], 'cut short'],
  ['more than there is', [0, 8], '1 bytes follow'],
  ['what has no meaning', [1, 23], 'may not be 23'],
] as const)('decodeDifferences() refuses %s', ([, bytes, reason]) => {
  const decoded = decodeDifferences(Uint8Array.from(bytes), after([1]), 1);
  expect(decoded.ok ? 'taken' : decoded.error).toContain(reason);
});
