import fc from 'fast-check';
import { pack } from 'msgpackr';
import { expect, test } from 'vitest';

import { findFault, VALUES_MAX } from './msgpack.ts';

const nested = (depth: number): Uint8Array => Uint8Array.from([...Array<number>(depth).fill(0x91), 0xc0]);
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

test.for([
  ['nothing', hex(''), 'cut short'],
  ['a fixint', hex('07'), 'plain'],
  ['a map', hex('81 a1 61 01'), 'plain'],
  ['a string longer than the message', hex('db ff ff ff ff 61'), 'cut short'],
  ['binary of 4 GB', hex('c6 ff ff ff ff'), 'cut short'],
  ['an array of 4 billion', hex('dd ff ff ff ff c0 c0'), 'cut short'],
  ['a map of 4 billion', hex('df ff ff ff ff a1 61'), 'cut short'],
  ['bytes behind the message', hex('01 02'), '1 bytes follow'],
  ['a number as a map key', hex('81 01 01'), 'a map key is not a string'],
  ['the key __proto__, plain', hex('81 a9 5f5f70726f746f5f5f 01'), '__proto__ is forbidden'],
  ['the key constructor, deep', hex('81 a1 61 81 ab 636f6e7374727563746f72 01'), 'constructor is forbidden'],
  ['the key prototype as str 8', hex('81 d9 09 70726f746f74797065 01'), 'prototype is forbidden'],
  ['a timestamp', hex('d6 ff 00 00 00 00'), 'is an extension'],
  ['an extension of 4 GB', hex('c9 ff ff ff ff 01'), 'is an extension'],
  ['the type that is never used', hex('c1'), 'is an extension'],
  ['arrays eight deep', nested(8), 'plain'],
  ['arrays nine deep', nested(9), 'nested deeper than 8'],
  ['arrays a million deep', nested(1_000_000), 'nested deeper than 8'],
  [
    'too many values',
    Uint8Array.from([0xdd, 0, 1, 0x86, 0xa0, ...Array<number>(VALUES_MAX).fill(0xc0)]),
    'more than 100000 values',
  ],
] as const)('findFault(%s)', ([, bytes, fault]) => {
  expect(findFault(bytes) ?? 'plain').toContain(fault);
});

test('findFault() finds none in any plain message', () => {
  const plain = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.double(),
      fc.string(),
      fc.uint8Array(),
      tie('list'),
      tie('map'),
    ),
    list: fc.array(tie('value'), { maxLength: 20 }),
    map: fc.dictionary(fc.string({ unit: fc.constantFrom('a', 'b', 'ä') }), tie('value'), {
      maxKeys: 20,
      noNullPrototype: true,
    }),
  })).value;
  fc.assert(
    fc.property(plain, (value) => {
      expect(findFault(pack(value))).toBeNull();
    }),
  );
});

test('findFault() never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void findFault(bytes)),
    { numRuns: 2000 },
  );
});
