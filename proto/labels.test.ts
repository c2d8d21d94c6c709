import fc from 'fast-check';
import { expect, test } from 'vitest';

import { formatLabels, parseLabels } from './labels.ts';

test.for([
  [{}, ''],
  [{ cpu: '0', 'cpu.mode': 'user' }, 'cpu=0,cpu.mode=user'],
  [{ 'cpu.mode': 'user', cpu: '0' }, 'cpu=0,cpu.mode=user'],
  [{ mountpoint: '/a,b=c\\d' }, 'mountpoint=/a\\,b\\=c\\\\d'],
  [{ empty: '' }, 'empty='],
] as const)('formatLabels(%o) is %s', ([labels, text]) => {
  expect(formatLabels(labels)).toBe(text);
  expect(parseLabels(text)).toEqual({ ok: true, value: { ...labels } });
});

test.for([
  ['cpu', 'is not key=value'],
  ['=0', 'is not key=value'],
  ['a=1,', 'is not key=value'],
  ['a=b=c', 'is not key=value'],
  ['b=1,a=2', 'does not sort after'],
  ['a=1,a=2', 'does not sort after'],
  ['a=\\b', 'a backslash stands where none is needed'],
  ['a=b\\', 'a backslash stands where none is needed'],
] as const)('parseLabels(%s) is refused because it %s', ([text, reason]) => {
  const parsed = parseLabels(text);
  expect(parsed.ok ? '' : parsed.error).toContain(reason);
});

test('parseLabels() gives back what formatLabels() took, whatever the text', () => {
  const key = fc.string({ minLength: 1 });
  fc.assert(
    fc.property(fc.dictionary(key, fc.string({ unit: 'binary' }), { noNullPrototype: true }), (labels) => {
      expect(parseLabels(formatLabels(labels))).toEqual({ ok: true, value: labels });
    }),
  );
});

test('parseLabels() never throws and takes only canonical text', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', 'b', ',', '=', '\\') }), (text) => {
      const parsed = parseLabels(text);
      expect(parsed.ok ? formatLabels(parsed.value) : text).toBe(text);
    }),
  );
});
