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
