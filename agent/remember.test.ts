import { expect, test } from 'vitest';

import { KEYS_MAX, remember } from './remember.ts';

test('remember() makes once for each key, and forgets all when there are too many', () => {
  let made = 0;
  const labelsOf = remember((key) => {
    made += 1;
    return key;
  });
  for (let i = 0; i < KEYS_MAX; i += 1) labelsOf(`${i}`);
  labelsOf('0');
  expect(made).toBe(KEYS_MAX);
  labelsOf('one more');
  labelsOf('0');
  expect(made).toBe(KEYS_MAX + 2);
});
