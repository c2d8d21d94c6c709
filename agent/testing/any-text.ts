import fc from 'fast-check';

/** Any text, and texts that are close to a good one: cut short, or with a piece replaced. */
export function anyTextLike(good: string): fc.Arbitrary<string> {
  const at = fc.nat(good.length);
  return fc.oneof(
    fc.string({ unit: 'binary-ascii' }),
    fc.string(),
    at.map((end) => good.slice(0, end)),
    fc
      .tuple(at, fc.nat(20), fc.oneof(fc.string(), fc.constantFrom('-1', '1e999', '99999999999999999999', '\n', ' ')))
      .map(([start, length, piece]) => good.slice(0, start) + piece + good.slice(start + length)),
  );
}
