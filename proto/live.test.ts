import { expect, test } from 'vitest';

import { readLiveRequest } from './live.ts';

test.for([
  ['{"kind":"subscribe","topic":"fleet"}', true],
  ['{"kind":"unsubscribe","topic":"host/web-1.example.com"}', true],
  ['{"kind":"subscribe","topic":"host/"}', false],
  ['{"kind":"subscribe","topic":"host/../etc"}', false],
  ['{"kind":"subscribe","topic":"everything"}', false],
  ['{"kind":"shutdown","topic":"fleet"}', false],
  ['{"topic":"fleet"}', false],
  ['[]', false],
  ['null', false],
  ['{', false],
  ['', false],
] as const)('readLiveRequest(%s) is taken: %s', ([text, isTaken]) => {
  expect(readLiveRequest(text).ok).toBe(isTaken);
});
