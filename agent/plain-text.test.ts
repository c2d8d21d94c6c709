import fc from 'fast-check';
import { expect, test } from 'vitest';

import { isPlainText, toPlainText } from './plain-text.ts';

test.for([
  ['nginx: Käse 日本 🦊', 'nginx: Käse 日本 🦊'],
  ['a\u001B[31mb\n', 'a?[31mb?'],
  ['sh\u202Egnp.exe', 'sh?gnp.exe'], // right to left from here on
  ['a\u2066b\u200Fc\u00ADd\uFEFF', 'a?b?c?d?'],
  ['a\u2028b\u2029c\u0085d', 'a?b?c?d'],
  ['\uD83D', '?'],
  ['  x  ', 'x'],
] as const)('toPlainText(%j) is %j', ([text, plain]) => {
  expect(toPlainText(text, 100)).toBe(plain);
});

test('toPlainText() is plain, no longer than it may be, and the same the second time', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(20), (text, lengthMax) => {
      const plain = toPlainText(text, lengthMax);
      expect([isPlainText(plain), plain.isWellFormed(), plain.length <= lengthMax]).toEqual([true, true, true]);
      expect(toPlainText(plain, lengthMax)).toBe(plain);
    }),
  );
});
