import { expect, test } from 'vitest';

import { makeTestBatch } from '../test-collector.ts';
import { BASIS_MS_MAX, makeBases } from './bases.ts';

/** A batch of so many series, with values of its own. */
function makeBatch(series: number, value = 1) {
  return makeTestBatch(
    7,
    1000,
    Array.from({ length: series }, (_, i) => ['system.cpu.time', `cpu=${String(i).padStart(4, '0')}`, value] as const),
  );
}

test('bases are kept by host, the newest of each; those of hosts that are alike share one list of series', () => {
  const bases = makeBases({ bytesMax: 1e6, now: () => 0 });
  expect(bases.find('a')).toBe(null);
  expect([bases.keep('a', makeBatch(3, 1), null), bases.keep('b', makeBatch(3, 2), null)]).toEqual([true, true]);
  const [one, other] = [bases.find('a'), bases.find('b')];
  expect(one?.id).not.toEqual(other?.id);
  expect(one?.series).toBe(other?.series);
  const before = bases.heldBytes();
  bases.keep('a', makeBatch(3, 3), null);
  expect(bases.heldBytes()).toBe(before);
  expect([...(bases.find('a')?.last.values ?? [])]).toEqual([3, 3, 3]);
});

test('beyond the limit nothing more is kept, until one has not been heard of for long', () => {
  let nowMs = 1e6;
  const bases = makeBases({ bytesMax: 3_000, now: () => nowMs });
  expect(['a', 'b', 'c', 'd', 'e'].map((host) => bases.keep(host, makeBatch(10), null))).toEqual([
    true,
    true,
    true,
    true,
    false,
  ]);
  expect(bases.heldBytes()).toBeLessThanOrEqual(3_000);
  nowMs += BASIS_MS_MAX - 1;
  for (const host of ['b', 'c', 'd']) bases.keep(host, makeBatch(10), null);
  expect(bases.keep('e', makeBatch(10), null)).toBe(false);
  nowMs += 1;
  expect(bases.keep('e', makeBatch(10), null)).toBe(true);
  expect(['a', 'b', 'e'].map((host) => bases.find(host) !== null)).toEqual([false, true, true]);
});

test('what has become too large is kept no more, and leaves nothing', () => {
  const bases = makeBases({ bytesMax: 1_000, now: () => 0 });
  expect(bases.keep('a', makeBatch(10), null)).toBe(true);
  expect(bases.keep('a', makeBatch(100), null)).toBe(false);
  expect([bases.find('a'), bases.heldBytes()]).toEqual([null, 0]);
});
