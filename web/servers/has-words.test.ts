import { expect, test } from 'vitest';

import { hasWords } from './has-words.ts';

test.for([
  ['', true],
  ['HTTP', true],
  ['/b http', true],
  [' requests  route ', true],
  ['http x', false],
] as const)('%s is in the text: %s', ([search, expected]) => {
  expect(hasWords('http.requests Route=/a/B', search)).toBe(expected);
});
