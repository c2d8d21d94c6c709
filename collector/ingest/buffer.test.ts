import fc from 'fast-check';
import { expect, test } from 'vitest';

import { openBuffer, type BufferFault, type BufferOptions } from './buffer.ts';

/** A buffer of numbers, each a row of ten bytes, and the batches that its insert was given. */
function openNumbers(options: Partial<BufferOptions<number>> = {}) {
  const inserted: (readonly number[])[] = [];
  const errors: unknown[] = [];
  const rejected: number[] = [];
  const buffer = openBuffer<number>({
    insert: async (items) => void inserted.push(items),
    sizeOf: () => ({ rows: 1, bytes: 10 }),
    commitRows: 3,
    commitBytes: 1000,
    commitMs: 5,
    bytesMax: 100,
    waitMsMax: 3_600_000,
    onError: (error) => void errors.push(error),
    onRejected: (item) => void rejected.push(item),
    ...options,
  });
  return { buffer, inserted, errors, rejected };
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

test('add() commits at once when enough bytes wait', async () => {
  const { buffer, inserted } = openNumbers({ commitMs: 3_600_000, commitRows: 100, commitBytes: 20 });
  await Promise.all([buffer.add(1), buffer.add(2)]);
  expect(inserted).toEqual([[1, 2]]);
});

test('add() gives back what waits too long for its commit to begin, not what is being committed', async () => {
  const gate = Promise.withResolvers<void>();
  const { buffer, inserted } = openNumbers({
    commitRows: 1,
    waitMsMax: 20,
    async insert() {
      await gate.promise;
    },
  });
  const first = buffer.add(1);
  expect(await buffer.add(2)).toEqual({ ok: false, error: 'late' });
  expect(buffer.heldBytes()).toBe(10);
  gate.resolve();
  expect(await first).toEqual({ ok: true });
  await buffer.close();
  expect([buffer.heldBytes(), inserted]).toEqual([0, []]);
});

test.for([
  // what is poison, what becomes of 1 to 4 when they are committed together
  [[], ['ok', 'ok', 'ok', 'ok']],
  [[1], ['rejected', 'ok', 'ok', 'ok']],
  [[4], ['ok', 'ok', 'ok', 'rejected']],
  [
    [1, 2],
    ['failed', 'failed', 'ok', 'ok'],
  ],
  [
    [1, 3],
    ['failed', 'failed', 'failed', 'failed'],
  ],
  [
    [1, 2, 3, 4],
    ['failed', 'failed', 'failed', 'failed'],
  ],
] as const)('add() of 1 to 4, of which %o cannot be inserted, ends as %o', async ([poison, ends]) => {
  const { buffer, errors, rejected } = openNumbers({ commitRows: 4, insert: refuseOf(poison) });
  const results = await Promise.all([1, 2, 3, 4].map((item) => buffer.add(item)));
  expect(results.map((result) => (result.ok ? 'ok' : result.error))).toEqual(ends);
  expect([errors.length, rejected.length]).toEqual([
    ends.some((end) => end === 'failed') ? 1 : 0,
    poison.length === 1 ? 1 : 0,
  ]);
});

/** An insert of all or none, which throws when any of these is among the items. */
function refuseOf(poison: readonly number[]) {
  return async (items: readonly number[]): Promise<void> => {
    await Promise.resolve();
    if (items.some((item) => poison.includes(item))) throw new Error('poison');
  };
}

test('whatever fails, and in whatever order it comes: each item learns the truth, and one poison stops no other', async () => {
  const step = fc.record({
    item: fc.nat({ max: 40 }),
    pause: fc.nat({ max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(step, { selector: ({ item }) => item, minLength: 1, maxLength: 30 }),
      fc.uniqueArray(fc.nat({ max: 40 }), { maxLength: 3 }),
      fc.uniqueArray(fc.nat({ max: 12 }), { maxLength: 4 }),
      fc.integer({ min: 1, max: 8 }),
      async (steps, poison, outages, commitRows) => {
        const stored = new Set<number>();
        let calls = 0;
        let isOut = false;
        const refuse = refuseOf(poison);
        const { buffer, errors, rejected } = openNumbers({
          commitRows,
          commitMs: 0,
          bytesMax: 1e6,
          async insert(items) {
            calls += 1;
            if (outages.includes(calls)) isOut = true;
            if (outages.includes(calls)) throw new Error('out');
            await refuse(items);
            for (const item of items) stored.add(item);
          },
        });
        const ends = new Map<number, 'ok' | BufferFault>();
        const adding: Promise<void>[] = [];
        for (const { item, pause } of steps) {
          for (let i = 0; i < pause; i += 1) await Promise.resolve();
          adding.push(buffer.add(item).then((result) => void ends.set(item, result.ok ? 'ok' : result.error)));
        }
        await buffer.close();
        await Promise.all(adding);
        expect(buffer.heldBytes()).toBe(0);
        for (const { item } of steps) {
          const end = ends.get(item);
          expect(end === 'ok').toBe(stored.has(item));
          const isGood = !poison.includes(item) && !isOut;
          expect(isGood && end === 'rejected').toBe(false);
          // With one poison at most and an engine that works, every other item goes in.
          expect(isGood && poison.length <= 1 && end !== 'ok').toBe(false);
        }
        expect([...ends.values()].includes('failed')).toBe(errors.length > 0);
        expect([...ends].filter(([, end]) => end === 'rejected').map(([item]) => item)).toEqual(
          expect.arrayContaining(rejected),
        );
      },
    ),
    { numRuns: 300 },
  );
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
