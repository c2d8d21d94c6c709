import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { Line, Model } from './model.ts';
import { breakLine, makePoints, thinIndices } from './points.ts';

const NONE = Number.NaN;
const line = (group: string, tsMs: number[], values: number[], below = false): Line => ({
  group,
  side: '',
  colour: 0,
  below,
  tsMs,
  values,
});
const model = (lines: readonly Line[], gaps: Model['gaps'] = []): Model => ({
  fromMs: 100,
  toMs: 500,
  lines,
  leftOut: 0,
  gaps,
  holdMs: 100,
  limit: null,
  reference: null,
});
const drawn = (points: readonly { x: number; y: number }[]): (readonly [number, number])[] =>
  points.map(({ x, y }) => [x, y]);

test('makePoints() stacks lines upon each other and keeps what each is worth', () => {
  const points = makePoints(model([line('a', [100, 200], [1, 2]), line('b', [100, 200], [3, 4])]), 'stack', 1000);
  expect(points.lines.map(drawn)).toEqual([
    [
      [100, 1],
      [200, 2],
    ],
    [
      [100, 4],
      [200, 6],
    ],
  ]);
  expect(points.lines[1]?.map(({ value }) => value)).toEqual([3, 4]);
  expect([points.peak, points.depth]).toEqual([6, 0]);
});

test.for([
  // ticks of a, values of a, ticks of b, values of b, top of the stack
  [
    [200],
    [1],
    [100, 200, 300, 301],
    [3, 4, 5, 6],
    [
      [100, 3],
      [200, 5],
      [300, 6],
      [301, 6],
    ],
  ],
  [
    [110, 150],
    [1, 2],
    [120, 160],
    [3, 4],
    [
      [120, 4],
      [150, 5],
      [160, 6],
    ],
  ],
  [
    [100, 200, 300],
    [1, NONE, 3],
    [100, 200, 300],
    [1, 1, 1],
    [
      [100, 2],
      [200, 1],
      [300, 4],
    ],
  ],
] as const)('makePoints() stacks at the ticks of all lines, holding values for 100 ms (%#)', ([a, av, b, bv, top]) => {
  const points = makePoints(model([line('a', [...a], [...av]), line('b', [...b], [...bv])]), 'stack', 1000);
  expect(drawn(points.lines[1] ?? []).filter(([, y]) => !Number.isNaN(y))).toEqual(top);
});

test('makePoints() draws a mirrored line downwards and keeps its value', () => {
  const points = makePoints(model([line('out', [100, 200], [1, 2], true)]), 'mirror', 1000);
  expect(drawn(points.lines[0] ?? [])).toEqual([
    [100, -1],
    [200, -2],
  ]);
  expect(points.lines[0]?.[1]?.value).toBe(2);
  expect([points.peak, points.depth]).toEqual([0, 2]);
});

test('makePoints() keeps one sample before the range, which does not raise the axis', () => {
  const points = makePoints(model([line('a', [40, 80, 120, 600], [9, 8, 1, 9])]), 'lines', 1000);
  expect(drawn(points.lines[0] ?? [])).toEqual([
    [80, 8],
    [120, 1],
  ]);
  expect(points.peak).toBe(1);
});

test.for([
  // points, gaps, drawn
  [
    [
      [0, 1],
      [10, 2],
    ],
    [],
    [
      [0, 1],
      [10, 2],
    ],
  ],
  [
    [
      [0, 1],
      [10, 2],
      [40, 3],
      [50, 4],
    ],
    [[10, 40]],
    [
      [0, 1],
      [10, 2],
      [10, NONE],
      [40, 3],
      [50, 4],
    ],
  ],
  [
    [
      [0, 1],
      [10, 2],
      [40, 3],
    ],
    [[15, 30]],
    [
      [0, 1],
      [10, 2],
      [10, NONE],
      [40, 3],
      [40, 3],
    ],
  ],
  [
    [[0, 1]],
    [],
    [
      [0, 1],
      [0, 1],
    ],
  ],
  [
    [
      [0, 1],
      [10, 2],
    ],
    [[10, 90]],
    [
      [0, 1],
      [10, 2],
    ],
  ],
  [[], [[0, 9]], []],
] as const)('breakLine(%j, gaps %j)', ([points, gaps, expected]) => {
  expect(
    drawn(
      breakLine(
        points.map(([x, y]) => ({ x, y, value: y })),
        gaps,
      ),
    ),
  ).toEqual(expected);
});

test.for([
  [[0, 1, 2, 3], [5, 1, 9, 5], 4, [1, 2]],
  [[0, 1, 2, 3], [5, 5, 5, 5], 4, [0]],
  [[0, 1, 10, 11], [1, 2, 4, 3], 10, [0, 1, 2, 3]],
  [[0, 5], [1, 2], 1, [0, 1]],
  [[], [], 1, []],
  [[0, 1, 2, 3], [NONE, 5, 9, 2], 4, [2, 3]],
  [[0, 1, 2], [1, NONE, 5], 4, [0, 2]],
  [[0, 1, 4], [NONE, NONE, 5], 4, [0, 2]],
] as const)('thinIndices(%j, %j, %i) is %j', ([tsMs, weights, bucketMs, indices]) =>
  expect(thinIndices(tsMs, weights, bucketMs)).toEqual(indices),
);

const weight = fc.option(fc.integer({ min: 0, max: 1000 }), { nil: NONE });
const known = (values: readonly number[]): number[] => values.filter((value) => !Number.isNaN(value));

test('thinIndices() keeps the highest and the lowest, in order, at most two a bucket', () => {
  fc.assert(
    fc.property(fc.array(weight, { minLength: 1, maxLength: 200 }), (weights) => {
      const tsMs = weights.map((_, index) => index);
      const kept = thinIndices(tsMs, weights, 10);
      expect(kept).toEqual([...new Set(kept)].toSorted((a, b) => a - b));
      expect(kept.length).toBeLessThanOrEqual(2 * Math.ceil(weights.length / 10));
      const values = known(kept.map((index) => weights[index] ?? NONE));
      const all = known(weights);
      expect([Math.max(...values), Math.min(...values)]).toEqual([Math.max(...all), Math.min(...all)]);
    }),
  );
});
