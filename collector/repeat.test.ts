import { expect, test } from 'vitest';

import { repeat } from './repeat.ts';

test('repeat() asks a run to end when it is closed, waits for it, and begins no other', async () => {
  const begun: AbortSignal[] = [];
  const ended: AbortSignal[] = [];
  const repeating = repeat(
    1,
    async (closing) => {
      begun.push(closing);
      await new Promise((resolve) => closing.addEventListener('abort', resolve));
      ended.push(closing);
    },
    (error) => expect.unreachable(String(error)),
  );
  await expect.poll(() => begun.length).toBe(1);
  await repeating.close();
  expect([begun.length, ended.length]).toEqual([1, 1]);
});

test('repeat() that is woken runs at once, and once more after a run under way', async () => {
  let runs = 0;
  let release: () => void = () => undefined;
  const repeating = repeat(
    3_600_000,
    async () => {
      runs += 1;
      await new Promise<void>((resolve) => (release = resolve));
    },
    (error) => expect.unreachable(String(error)),
  );
  repeating.wake();
  await expect.poll(() => runs).toBe(1);
  repeating.wake();
  repeating.wake();
  release();
  await expect.poll(() => runs).toBe(2);
  const closed = repeating.close();
  release();
  await closed;
  expect(runs).toBe(2);
});
