import { expect, test } from 'vitest';

import { makeBell } from './bell.ts';
import { settle } from './testing/clock.ts';

test('a bell wakes the one who waits, keeps a ring while nobody does, and counts many rings as one', async () => {
  const bell = makeBell();
  let woken = 0;
  const wait = async () => {
    await bell.wait();
    woken += 1;
  };
  void wait();
  await settle();
  expect(woken).toBe(0);
  bell.ring();
  await settle();
  expect(woken).toBe(1);
  bell.ring();
  bell.ring();
  void wait();
  await settle();
  expect(woken).toBe(2);
  void wait();
  await settle();
  expect(woken).toBe(2);
});
