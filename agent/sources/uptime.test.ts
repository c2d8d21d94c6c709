import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, readFixture } from '../testing/fixture.ts';
import { parseUptime, readUptime } from './uptime.ts';

test('readUptime() reads a captured machine', () => {
  expect(readUptime(DEBIAN)).toEqual({ ok: true, value: 1736.59 });
});

test.for([
  ['1017.93 1965.55\n', 1017.93],
  ['', null],
  ['1017.9', null],
  ['Infinity 1\n', null],
] as const)('parseUptime(%o) is %o', ([text, seconds]) => {
  const uptime = parseUptime(text);
  expect(uptime.ok ? uptime.value : null).toBe(seconds);
});

test('parseUptime() never throws', () => {
  fc.assert(fc.property(anyTextLike(readFixture('proc/uptime')), (text) => void parseUptime(text)));
});
