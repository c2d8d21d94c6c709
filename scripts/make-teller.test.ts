import { expect, test } from 'vitest';

import { makeTeller } from './make-teller.ts';

test('makeTeller() tells a line a second, the end of a step at once, and the rate of each step by itself', () => {
  const told: string[] = [];
  let nowMs = 0;
  const tell = makeTeller(
    (line) => told.push(line),
    () => nowMs,
  );
  for (const [atMs, done, what] of [
    [0, 0, 'reading'],
    [500, 2, 'reading'],
    [1_000, 4, 'reading'],
    [1_100, 10, 'reading'],
    [1_200, 10, 'reading'],
    [1_300, 0, 'writing'],
    [1_400, 1, 'writing'],
    [2_300, 5, 'writing'],
    [2_400, 10, 'writing'],
    [2_500, 10, 'writing'],
  ] as const) {
    nowMs = atMs;
    tell({ done, total: 10, what });
  }
  expect(told).toEqual([
    '0 of 10: reading\n',
    '4 of 10 (4.0/s): reading\n',
    '10 of 10 (9.1/s): reading\n',
    '0 of 10: writing\n',
    '5 of 10 (5.0/s): writing\n',
    '10 of 10 (9.1/s): writing\n',
  ]);
});
