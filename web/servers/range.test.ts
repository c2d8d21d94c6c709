import { expect, test } from 'vitest';

import { isLive, parseRange, RANGES, refreshMs } from './range.ts';

test.for([
  ['1h', '1h'],
  ['30d', '30d'],
  ['2h', '15m'],
  [undefined, '15m'],
  [['1h', '6h'], '15m'],
] as const)('parseRange(%o) is %s', ([text, key]) => expect(parseRange(text).key).toBe(key));

test('isLive() up to an hour', () => {
  expect(RANGES.filter(isLive).map(({ key }) => key)).toEqual(['5m', '15m', '1h']);
});

test.for([
  ['5m', 60_000],
  ['6h', 60_000],
  ['24h', 144_000],
  ['30d', 4_320_000],
] as const)('refreshMs() of %s is %i', ([key, everyMs]) => expect(refreshMs(parseRange(key))).toBe(everyMs));
