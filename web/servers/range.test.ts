import { expect, test } from 'vitest';

import { isLive, parseRange, RANGES } from './range.ts';

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
