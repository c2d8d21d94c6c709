import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, readFixture, readSamples } from '../testing/fixture.ts';
import { makeMemorySource, parseMemory, readMemory } from './memory.ts';

const KIB = 1024;

test('readMemory() divides a captured machine', () => {
  const memory = readMemory(DEBIAN);
  if (!memory.ok) throw new Error(memory.error);
  const { total, used, free, buffers, cached, available } = memory.value;
  expect(total).toBe(24_684_092 * KIB);
  expect(used + free + buffers + cached).toBe(total);
  expect(available).toBeLessThanOrEqual(total);
});

test('the memory source gives no paging for a machine without swap', async () => {
  const names = Object.keys(await readSamples(makeMemorySource(DEBIAN)));
  expect(names.filter((name) => name.includes('paging'))).toEqual([]);
  expect(names).toContain('system.memory.utilization{}');
});

test.for([
  // what, fields in kB, expected in kB
  [
    'a usual machine',
    { MemTotal: 100, MemFree: 10, MemAvailable: 60, Buffers: 5, Cached: 40, SReclaimable: 5 },
    { used: 40, free: 10, buffers: 5, cached: 45, available: 60 },
  ],
  [
    'Linux before 3.14, without MemAvailable',
    { MemTotal: 100, MemFree: 10, Buffers: 5, Cached: 40, Shmem: 15 },
    { used: 45, cached: 40, available: 40 },
  ],
  [
    'counters that overlap',
    { MemTotal: 100, MemFree: 50, Buffers: 20, Cached: 60 },
    { used: 0, free: 50, buffers: 20, cached: 30 },
  ],
  ['more available than there is', { MemTotal: 100, MemFree: 50, MemAvailable: 120 }, { available: 100 }],
  ['swap', { MemTotal: 100, MemFree: 50, SwapTotal: 30, SwapFree: 40 }, { swapTotal: 30, swapFree: 30 }],
] as const)('parseMemory() reads %s', ([, fields, expected]) => {
  const memory = parseMemory(
    Object.entries(fields)
      .map(([key, kibibytes]) => `${key}:   ${kibibytes} kB\n`)
      .join(''),
  );
  const inBytes = Object.fromEntries(Object.entries(expected).map(([key, kibibytes]) => [key, kibibytes * KIB]));
  expect(memory.ok && memory.value).toMatchObject(inBytes);
});

test.for(['', 'MemTotal: 100 kB', 'MemTotal: 100 kB\n', 'MemTotal: 0 kB\nMemFree: 0 kB\n', 'MemFree: 1 kB\n'])(
  'parseMemory(%o) is an error',
  (text) => {
    expect(parseMemory(text).ok).toBe(false);
  },
);

test('parseMemory() never throws, and its states always add up to the total', () => {
  fc.assert(
    fc.property(anyTextLike(readFixture('proc/meminfo')), (text) => {
      const memory = parseMemory(text);
      if (!memory.ok) return;
      const { total, used, free, buffers, cached, available, swapFree, swapTotal } = memory.value;
      expect(used + free + buffers + cached).toBe(total);
      expect(Math.min(used, free, buffers, cached, available, swapFree)).toBeGreaterThanOrEqual(0);
      expect(available).toBeLessThanOrEqual(total);
      expect(swapFree).toBeLessThanOrEqual(swapTotal);
    }),
  );
});
