import { expect, test } from 'vitest';

import { parseKey, takeKey } from './session.ts';

test.for([
  ['abc', 'abc'],
  ['  abc\n', 'abc'],
  ['http://127.0.0.1:7430/#key=abc', 'abc'],
  ['#key=a%2Fb', 'a/b'],
  ['#key=a%', 'a%'],
  ['', ''],
] as const)('parseKey(%o) is %o', ([text, key]) => expect(parseKey(text)).toBe(key));

test.for([
  ['#key=abc', 'abc', '/hosts/a?range=1h'],
  ['#key=', null, '/hosts/a?range=1h'],
  ['#top', null, null],
  ['', null, null],
] as const)('takeKey() of %o is %o and leaves %o', ([hash, key, left]) => {
  const replaced: unknown[] = [];
  const history = { state: null, replaceState: (_state: unknown, _title: string, url?: unknown) => replaced.push(url) };
  expect(takeKey({ hash, pathname: '/hosts/a', search: '?range=1h' }, history)).toBe(key);
  expect(replaced).toEqual(left === null ? [] : [left]);
});
