import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { decodePush } from '@muster/proto/basis';
import { encodeBatch } from '@muster/proto/batch';
import { expect, test } from 'vitest';

import { makeTestBatch } from '../test-collector.ts';
import { BASIS_MS_MAX, makeBases } from './bases.ts';

/** A batch of so many series, with values of its own. */
function makeBatch(series: number, value = 1, name = '') {
  return makeTestBatch(
    7,
    1000,
    Array.from(
      { length: series },
      (_, i) => ['system.cpu.time', `cpu=${name}${String(i).padStart(4, '0')}`, value] as const,
    ),
  );
}

test('bases are kept by host, the newest of each; those of hosts that are alike share their series', () => {
  const bases = makeBases({ bytesMax: 1e6, now: () => 0 });
  expect(bases.find('a')).toBe(null);
  expect([bases.keep('a', makeBatch(3, 1), null), bases.keep('b', makeBatch(3, 2), null)]).toEqual([true, true]);
  const [one, other] = [bases.find('a'), bases.find('b')];
  expect(one?.id).not.toEqual(other?.id);
  for (const row of [0, 1, 2]) expect(one?.series[row]).toBe(other?.series[row]);
  const before = bases.heldBytes();
  bases.keep('a', makeBatch(3, 3), null);
  expect(bases.heldBytes()).toBe(before);
  expect([...(bases.find('a')?.last.values ?? [])]).toEqual([3, 3, 3]);
});

/** What so many hosts that are alike take. */
function measure(hosts: number, series: number): number {
  const bases = makeBases({ bytesMax: 1e9, now: () => 0 });
  for (let host = 0; host < hosts; host += 1) bases.keep(`host-${host}`, makeBatch(series), null);
  return bases.heldBytes();
}

test('beyond the limit nothing more is kept, until one has not been heard of for long', () => {
  let nowMs = 1e6;
  const bytesMax = measure(4, 10);
  const bases = makeBases({ bytesMax, now: () => nowMs });
  expect(['a', 'b', 'c', 'd', 'e'].map((host) => bases.keep(host, makeBatch(10), null))).toEqual([
    true,
    true,
    true,
    true,
    false,
  ]);
  expect(bases.heldBytes()).toBe(bytesMax);
  nowMs += BASIS_MS_MAX - 1;
  for (const host of ['b', 'c', 'd']) bases.keep(host, makeBatch(10), null);
  expect(bases.keep('e', makeBatch(10), null)).toBe(false);
  nowMs += 1;
  expect(bases.keep('e', makeBatch(10), null)).toBe(true);
  expect(['a', 'b', 'e'].map((host) => bases.find(host) !== null)).toEqual([false, true, true]);
});

test('what has become too large is kept no more, and leaves nothing', () => {
  const bases = makeBases({ bytesMax: measure(1, 10), now: () => 0 });
  expect(bases.keep('a', makeBatch(10), null)).toBe(true);
  expect(bases.keep('a', makeBatch(100), null)).toBe(false);
  expect([bases.find('a'), bases.heldBytes()]).toEqual([null, 0]);
});

test('a host that sends other series with every batch takes no more than with its last one', () => {
  const bases = makeBases({ bytesMax: 1e9, now: () => 0 });
  const heldBytes = Array.from({ length: 40 }, (_, i) => {
    bases.keep('a', makeBatch(1_000, 1, String(i).padStart(2, '0')), null);
    return bases.heldBytes();
  });
  expect(new Set(heldBytes).size).toBe(1);
  // Told beside a basis that was replaced meanwhile: what that had is held again, and given back once.
  const left = bases.find('a');
  bases.keep('a', makeBatch(1_000, 2, '99'), null);
  if (left === null) throw new Error('Nothing was kept');
  bases.keep('a', { ...makeBatch(1_000, 3), series: left.series }, left);
  expect(bases.heldBytes()).toBe(heldBytes[0]);
  bases.keep('a', makeBatch(0), null);
  expect(bases.heldBytes()).toBe(measure(1, 0));
});

test('descriptions count, and are given back', () => {
  const bases = makeBases({ bytesMax: 1e9, now: () => 0 });
  const described = Array.from({ length: 100 }, (_, i) => [`metric_${i}`, 'counter', 'By'] as const);
  bases.keep('a', { ...makeBatch(1), described }, null);
  expect(bases.heldBytes() - measure(1, 1)).toBeGreaterThan(100 * 'metric_0counterBy'.length);
  bases.keep('a', makeBatch(1), null);
  expect(bases.heldBytes()).toBe(measure(1, 1));
});

test('what is held takes no more of the heap than is counted, however unlike the hosts are', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage: unknown = runInNewContext('gc');
  const readUsed = (): number => {
    if (typeof collectGarbage !== 'function') throw new Error('There is no gc()');
    collectGarbage();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const bytesMax = 40e6;
  const bases = makeBases({ bytesMax, now: () => 0 });
  const beforeBytes = readUsed();
  const kept = Array.from({ length: 40 }, (_, i) => {
    // As it comes from outside: no text is there already.
    const decoded = decodePush(encodeBatch(makeBatch(10_000, 1, `host-${i}-`)), null);
    return decoded.ok && bases.keep(`host-${i}`, decoded.value.batch, null);
  });
  expect([kept[0], kept.at(-1)]).toEqual([true, false]);
  expect(bases.heldBytes()).toBeGreaterThan(bytesMax * 0.8);
  // What the collector of garbage frees in the background is counted until it has.
  await expect.poll(() => readUsed() - beforeBytes, { timeout: 10_000 }).toBeLessThanOrEqual(bases.heldBytes());
});
