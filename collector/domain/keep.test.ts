import { expect, test } from 'vitest';

import { findKeepFault, formatKeep, KEEP_DEFAULT, parseKeep } from './keep.ts';

test.for([
  ['raw=30,5m=90,1h=365,1d=365', { raw: 30, '5m': 90, '1h': 365, '1d': 365 }],
  ['1h=400', { '1h': 400 }],
  ['raw=2, 1d=36500', { raw: 2, '1d': 36_500 }],
] as const)('parseKeep() of %s', ([text, keep]) => {
  expect(parseKeep(text)).toEqual({ ok: true, value: keep });
});

test.for([
  ['', /such as raw=30/],
  ['raw', /such as raw=30/],
  ['raw=', /such as raw=30/],
  ['raw=30=40', /such as raw=30/],
  ['raw=1.5', /such as raw=30/],
  ['raw=-1', /such as raw=30/],
  ['2h=30', /such as raw=30/],
  ['toString=30', /such as raw=30/],
  ['raw=30,raw=40', /each once/],
  ['raw=0', /from 1 to 36500/],
  ['1d=36501', /from 1 to 36500/],
] as const)('parseKeep() refuses %j', ([text, said]) => {
  expect(parseKeep(text)).toEqual({ ok: false, error: expect.stringMatching(said) });
});

test.for([{}, { raw: 90 }, { raw: 2, '5m': 2, '1h': 2, '1d': 2 }])(
  'findKeepFault() of the default with %o is none',
  (more) => {
    expect(findKeepFault({ ...KEEP_DEFAULT, ...more })).toBe(null);
  },
);

test.for([
  [{ raw: 1 }, /raw=1 would drop samples .* 2 days or more/],
  [{ raw: 91 }, /raw=91 would outlast 5m=90.*keep 5m for 91 days or more, or raw for 90 or less/],
  [{ '5m': 366 }, /5m=366 would outlast 1h=365/],
  [{ '1d': 364 }, /1h=365 would outlast 1d=364/],
] as const)('findKeepFault() of the default with %o says what is wrong', ([more, said]) => {
  expect(findKeepFault({ ...KEEP_DEFAULT, ...more })).toMatch(said);
});

test('formatKeep() is what parseKeep() reads', () => {
  expect(parseKeep(formatKeep(KEEP_DEFAULT))).toEqual({ ok: true, value: KEEP_DEFAULT });
});
