import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, readFixture } from '../testing/fixture.ts';
import { parseLoad, readLoad } from './load.ts';

test('readLoad() reads a captured machine', () => {
  const [minutes1, minutes5, minutes15] = readFixture('proc/loadavg').split(' ').map(Number);
  expect(readLoad(DEBIAN)).toEqual({ ok: true, value: { minutes1, minutes5, minutes15 } });
});

test.for([
  ['0.00 0.05 0.06 1/87 4138\n', [0, 0.05, 0.06]],
  ['1234.56 999.00 10.01 9/9999 1\n', [1234.56, 999, 10.01]],
  ['', null],
  ['0.00 0.05 0.0', null],
  ['-1.00 0.05 0.06 1/87 4138\n', null],
] as const)('parseLoad(%o) is %o', ([text, loads]) => {
  const load = parseLoad(text);
  expect(load.ok ? Object.values(load.value) : null).toEqual(loads);
});

test('parseLoad() never throws', () => {
  fc.assert(fc.property(anyTextLike(readFixture('proc/loadavg')), (text) => void parseLoad(text)));
});
