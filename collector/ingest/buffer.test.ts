import { expect, test } from 'vitest';

import { openBuffer, type BufferOptions } from './buffer.ts';

/** A buffer of numbers, each a row of ten bytes, and the batches that its insert was given. */
function openNumbers(options: Partial<BufferOptions<number>> = {}) {
  const inserted: (readonly number[])[] = [];
  const errors: unknown[] = [];
  const buffer = openBuffer<number>({
    insert: async (items) => void inserted.push(items),
    sizeOf: () => ({ rows: 1, bytes: 10 }),
    commitRows: 3,
    commitMs: 5,
    bytesMax: 100,
    onError: (error) => void errors.push(error),
    ...options,
  });
  return { buffer, inserted, errors };
}

test('add() resolves when its item is in the store', async () => {
  const { buffer, inserted } = openNumbers();
  expect(await buffer.add(1)).toEqual({ ok: true });
  expect(inserted).toEqual([[1]]);
});

test('add() commits at once when enough rows wait', async () => {
  const { buffer, inserted } = openNumbers({ commitMs: 3_600_000 });
  await Promise.all([1, 2, 3].map((item) => buffer.add(item)));
  expect(inserted).toEqual([[1, 2, 3]]);
});

test('add() gathers what comes during a commit into the next one', async () => {
  const gate = Promise.withResolvers<void>();
  const seen: (readonly number[])[] = [];
  const { buffer } = openNumbers({
    commitRows: 1,
    async insert(items) {
      seen.push(items);
      await gate.promise;
    },
  });
  const results = [1, 2, 3].map((item) => buffer.add(item));
  gate.resolve();
  await Promise.all(results);
  expect(seen).toEqual([[1], [2, 3]]);
});

test('add() refuses what is beyond the limit, and takes more when there is room again', async () => {
  const gate = Promise.withResolvers<void>();
  const { buffer } = openNumbers({ bytesMax: 20, insert: () => gate.promise });
  const held = [buffer.add(1), buffer.add(2)];
  expect(await buffer.add(3)).toEqual({ ok: false, error: 'full' });
  expect(buffer.heldBytes()).toBe(20);
  gate.resolve();
  await Promise.all(held);
  expect(buffer.heldBytes()).toBe(0);
  expect(await buffer.add(3)).toEqual({ ok: true });
});

test('add() says so when the insert throws, and goes on with the next', async () => {
  let calls = 0;
  const { buffer, errors } = openNumbers({
    commitRows: 1,
    async insert() {
      calls += 1;
      if (calls === 1) throw new Error('disk full');
    },
  });
  expect(await buffer.add(1)).toEqual({ ok: false, error: 'failed' });
  expect(await buffer.add(2)).toEqual({ ok: true });
  expect(errors).toEqual([new Error('disk full')]);
  expect(buffer.heldBytes()).toBe(0);
});

test('close() commits what waits and takes nothing more', async () => {
  const { buffer, inserted } = openNumbers({ commitMs: 3_600_000 });
  const waiting = [buffer.add(1), buffer.add(2)];
  await buffer.close();
  expect(await Promise.all(waiting)).toEqual([{ ok: true }, { ok: true }]);
  expect(inserted).toEqual([[1, 2]]);
  expect(await buffer.add(3)).toEqual({ ok: false, error: 'closed' });
});

test('close() waits for what was added during the last commit', async () => {
  const gate = Promise.withResolvers<void>();
  const seen: (readonly number[])[] = [];
  const { buffer } = openNumbers({
    commitRows: 1,
    async insert(items) {
      seen.push(items);
      await gate.promise;
    },
  });
  const results = [buffer.add(1), buffer.add(2)];
  const closed = buffer.close();
  gate.resolve();
  await closed;
  expect(await Promise.all(results)).toEqual([{ ok: true }, { ok: true }]);
  expect(seen).toEqual([[1], [2]]);
});
