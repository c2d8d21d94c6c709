import { expect, test } from 'vitest';

import { rateOf } from './count.ts';
import { countDrained, runHerd } from './run.ts';

test('a fleet whose collector was killed and came back has delivered all that it took, once', async () => {
  const { balance, counts } = await runHerd({
    agents: 50,
    generators: 2,
    metrics: 20,
    everyMs: 1_000,
    seed: 7,
    warmUpMs: 0,
    steadyMs: 3_000,
    awayMs: 5_000,
    say: () => undefined,
  });
  expect(balance).toMatchObject({ lost: 0, duplicated: 0, unknown: 0 });
  expect(balance.taken).toBeGreaterThan(0);
  expect(countDrained(counts)).toBe(50);
  expect(counts.returns.every(({ tries }) => tries.at(-1)?.end === '200')).toBe(true);
  expect([...counts.errors]).toEqual([]);
}, 90_000);

test('rateOf() looks at whole buckets only, and at those in which nothing came', () => {
  const seconds = new Map([
    [4, 100],
    [5, 10],
    [9, 5],
    [15, 30],
    [20, 100],
  ]);
  expect(rateOf(seconds, [4_001, 20_500], 5)).toEqual({ mean: 3, p50: 3, peak: 6 });
  expect(rateOf(seconds, [4_500, 10_000], 1)).toEqual({ mean: 3, p50: 0, peak: 10 });
});
