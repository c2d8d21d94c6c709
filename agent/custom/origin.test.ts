import { expect, test } from 'vitest';

import { makeIntake } from './intake.ts';
import { SILENT_MS, stepOrigin, type Origin } from './origin.ts';
import type { Point, PointValue } from './point.ts';
import { IDLE_MS, makeSeriesPool } from './series.ts';
import { makeRises } from '../testing/rises.ts';

const NOW_MS = 1_000_000;
const FIRST: Origin = { startNs: 1, toldMs: NOW_MS - 1, others: 0, isShared: false };
const YOUNGER = { ...FIRST, startNs: 2 };
const AHEAD = { ...FIRST, startNs: (NOW_MS + 1) * 1e6 };
test.for<
  readonly [known: Origin | undefined, startNs: number | null, hasFallen: boolean, verdict: string, then: Origin]
>([
  [undefined, 1, false, 'begun', { ...FIRST, toldMs: NOW_MS }],
  [FIRST, 1, false, 'told', { ...FIRST, toldMs: NOW_MS }],
  [FIRST, null, false, 'told', { ...FIRST, toldMs: NOW_MS }],
  [FIRST, 2, false, 'held', { ...FIRST, others: 1 }],
  [{ ...FIRST, others: 1 }, 2, false, 'begun', { ...YOUNGER, toldMs: NOW_MS }],
  [{ ...FIRST, others: 1 }, 1, false, 'told', { ...FIRST, toldMs: NOW_MS, isShared: true }],
  [{ ...FIRST, isShared: true }, 2, false, 'refused', { ...FIRST, others: 1, isShared: true }],
  [YOUNGER, 1, false, 'refused', YOUNGER],
  [{ ...YOUNGER, toldMs: NOW_MS - SILENT_MS + 1 }, 1, false, 'refused', { ...YOUNGER, toldMs: NOW_MS - SILENT_MS + 1 }],
  [{ ...YOUNGER, toldMs: NOW_MS - SILENT_MS }, 1, false, 'resumed', { ...FIRST, toldMs: NOW_MS }],
  [{ ...YOUNGER, toldMs: NOW_MS + SILENT_MS }, 1, false, 'resumed', { ...FIRST, toldMs: NOW_MS }],
  [AHEAD, 1, false, 'held', { ...AHEAD, others: 1 }],
  [{ ...AHEAD, others: 1 }, 1, false, 'begun', { ...FIRST, toldMs: NOW_MS }],
  [FIRST, AHEAD.startNs, false, 'refused', FIRST],
  [AHEAD, AHEAD.startNs + 1e6, false, 'held', { ...AHEAD, others: 1 }],
  [FIRST, 1, true, 'held', { ...FIRST, others: 1 }],
  [FIRST, null, true, 'held', { ...FIRST, others: 1 }],
  [{ ...FIRST, others: 1 }, null, true, 'begun', { ...FIRST, startNs: null, toldMs: NOW_MS }],
  [{ ...FIRST, others: 8, isShared: true }, 1, true, 'refused', { ...FIRST, others: 9, isShared: true }],
  [{ ...FIRST, others: 9, isShared: true }, 1, true, 'begun', { ...FIRST, toldMs: NOW_MS }],
])('stepOrigin(%j, %s, fallen: %s) is %s', ([known, startNs, hasFallen, verdict, then]) => {
  expect(stepOrigin(known, { startNs, hasFallen, nowMs: NOW_MS })).toEqual({ origin: then, verdict });
});

function makeSmall() {
  const keeper = makeSeriesPool().open('otlp', 10);
  const intake = makeIntake(keeper);
  const point = (startNs: number | null, value: PointValue): Point => ({
    name: 'requests',
    unit: '',
    labels: [],
    value: { ok: true, value },
    origin: { startNs },
  });
  return {
    keeper,
    intake,
    /** Why it was refused. */
    takeSummary: (startNs: number, count: number, nowMs: number) => {
      const summary = { kind: 'summary', count, sum: count / 10, quantiles: [] } as const;
      return intake.take([point(startNs, summary)], nowMs)[0]?.refusal;
    },
    /** What is told of each of the counts that come one after the other, a second apart. */
    tell: (counts: readonly (readonly [startSecond: number | null, value: number])[], fromMs = 0) => {
      intake.read(fromMs);
      return counts.map(([startSecond, value], i) => {
        const nowMs = fromMs + i * 1_000;
        const startNs = startSecond === null ? null : startSecond * 1e9;
        const number = point(startNs, { kind: 'number', as: 'counter', value, isDelta: false });
        const [refused] = intake.take([number], nowMs);
        return refused?.refusal ?? intake.read(nowMs)[0]?.value ?? null;
      });
    },
    tellBuckets: (startNs: number, count: number) => {
      const buckets = [
        { upper: 1, count },
        { upper: 2, count: 0 },
      ];
      intake.take([point(startNs, { kind: 'distribution', count, sum: null, buckets, bounds: {}, isDelta: false })], 0);
      return intake.read(0).length;
    },
  };
}

test.for([
  ['that says its start', 7, 8],
  ['that says none', null, null],
  ['forked of one that has started', 7, 7],
] as const)('of two processes that take turns one is told: each %s', ([, first, second]) => {
  const { tell, keeper } = makeSmall();
  expect(
    tell([
      [first, 1000],
      [second, 500],
      [first, 1010],
      [second, 505],
      [first, 1020],
      [second, 510],
    ]),
  ).toEqual([1000, null, 1010, 'origin', 1020, 'origin']);
  const { samples, remark } = keeper.report(0);
  expect(remark).toContain('such as requests: one is taken; set service.instance.id');
  expect(samples).toContainEqual({
    metric: 'muster.agent.samples.refused',
    labels: 'muster.reason=origin,muster.source=otlp',
    value: 2,
  });
  expect(keeper.report(3_599_999).remark).toBe(remark);
  expect(keeper.report(3_600_000).remark).toBeNull();
});

test.for([
  [-7, 0.5, [1000, null, 1012, 1020]], // after the last that was heard of the other
  [-7, -5, [1000, null, 12, 20]], // beside the other
  [null, null, [1000, null, 12, 20]],
  [-7, -7, [1000, null, 12, 20]],
] as const)('a restart is told from its second point on: since %s, then %s, it is %j', ([first, second, told]) => {
  const { tell, keeper } = makeSmall();
  expect(
    tell([
      [first, 1000],
      [second, 5],
      [second, 12],
      [second, 20],
    ]),
  ).toEqual(told);
  expect(keeper.report(0).remark).toBeNull();
});

test.for([
  ['beyond what was told', [150, 500, 600], [null, 700, 800]],
  ['below what was told', [150, 190, 600], [null, 390, 800]],
] as const)('what came since a restart that says its start is what it rises by: %s', ([, counts, told]) => {
  const { tell } = makeSmall();
  const [first, second, third] = [-1, 1.5, 4.5];
  const all = [
    [first, 100],
    [first, 200],
    ...counts.map((count) => [second, count] as const),
    [third, 500],
    [third, 700],
  ] as const;
  expect(tell(all)).toEqual([100, 200, ...told, null, 1500]);
});

test('a count of fractions that goes on is not taken for fallen, and one beyond exact numbers begins anew', () => {
  const [third, fifth] = [1 / 3, 0.2];
  const both = third + fifth;
  expect(
    makeSmall().tell([
      [-1, third],
      [0.5, fifth],
      [0.5, fifth],
      [0.5, fifth],
    ]),
  ).toEqual([third, null, both, both]);
  const huge = 2 ** 60;
  expect(
    makeSmall().tell([
      [-1, huge],
      [0.5, 5],
      [0.5, 7],
    ]),
  ).toEqual([huge, null, 7]);
});

test('what is told again after it was idle goes on with what earlier processes have counted', () => {
  const { tell } = makeSmall();
  expect(
    tell([
      [-1, 100],
      [0.5, 40],
      [0.5, 50],
    ]),
  ).toEqual([100, null, 150]);
  expect(tell([[0.5, 70]], 2 * IDLE_MS)).toEqual([170]);
});

test('an older process that is told again after all was idle goes on where the series stands', () => {
  const { tell } = makeSmall();
  const [older, younger] = [-2, -1];
  expect(
    tell([
      [older, 1000],
      [younger, 40],
      [younger, 50],
      [older, 1010],
    ]),
  ).toEqual([1000, null, 50, 'origin']);
  expect(
    tell(
      [
        [older, 2000],
        [older, 2010],
      ],
      2 * IDLE_MS,
    ),
  ).toEqual([50, 60]);
});

test('what restarts after the clock was set back is told, though it began earlier by that clock', () => {
  const { tell } = makeSmall();
  const [ahead, right] = [7_200, 600];
  expect(tell([[ahead, 100]], 7_260_000)).toEqual([100]);
  expect(tell([[ahead, 110]], 120_000)).toEqual([110]);
  const restarted = [
    [right, 5],
    [right, 8],
    [ahead, 111], // late
    [right, 9],
  ] as const;
  expect(tell(restarted, 660_000)).toEqual([null, 118, 'origin', 119]);
});

test('once the younger of two processes is gone the older is heard, and only what it counts from then on', () => {
  const { takeSummary, intake } = makeSmall();
  const rises = makeRises();
  const refused: number[] = [];
  for (let nowMs = 0; nowMs < 20 * 60_000; nowMs += 10_000) {
    const minute = nowMs / 60_000;
    if (minute >= 2 && minute < 7) takeSummary(119e9, nowMs / 10_000, nowMs);
    const isRefused = Number.isInteger(minute) && takeSummary(-1, 1_000_000 + 10 * minute, nowMs) === 'origin';
    if (isRefused) refused.push(minute);
    rises.take(intake.read(nowMs), nowMs);
  }
  // The younger is heard from 2:20 to 6:50, then nobody for five minutes.
  expect(refused).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11]);
  const count = 2 * 10 + 27 + 7 * 10;
  expect(rises.all()).toEqual({ 'requests.count': count, 'requests.sum': expect.closeTo(count / 10) });
});

test('a restarted distribution goes on with its count and its sum', () => {
  const intake = makeIntake(makeSeriesPool().open('otlp', 10));
  const rises = makeRises();
  for (const [startNs, count, sum, tsMs] of [
    [1, 10, 1, 0],
    [1, 20, 2, 1],
    [2e6, 1, 5, 3],
    [2e6, 30, 6, 4],
  ] as const) {
    const value = { kind: 'distribution', count, sum, buckets: [], bounds: {}, isDelta: false } as const;
    intake.take([{ name: 'x', unit: 's', labels: [], value: { ok: true, value }, origin: { startNs } }], tsMs);
    rises.take(intake.read(tsMs), tsMs);
  }
  expect(rises.all()).toEqual({ 'x.count': 10 + 30, 'x.sum': 1 + 6 });
});

test('however many take turns, and however unevenly, the origin changes to a younger one, and never back', () => {
  const { tell } = makeSmall();
  expect(
    tell([
      [-3, 1000],
      [-2, 500],
      [-1, 300],
      [-3, 1010],
      [-2, 510],
      [-1, 310],
      [-3, 1020],
      [-1, 320],
    ]),
  ).toEqual([1000, null, 300, 'origin', 'origin', 310, 'origin', 320]);
});

test('what came late of a process that has ended is left out', () => {
  const { tell } = makeSmall();
  expect(
    tell([
      [-1, 1000],
      [0.5, 5],
      [0.5, 12],
      [-1, 1001],
      [0.5, 20],
    ]),
  ).toEqual([1000, null, 1012, 'origin', 1020]);
});

test('a restarted histogram has no quantiles until it has been told twice', () => {
  const { tellBuckets } = makeSmall();
  const [all, count, none] = [5, 1, 0];
  expect([tellBuckets(1, 10), tellBuckets(1, 20)]).toEqual([count, all]);
  expect([tellBuckets(2, 30), tellBuckets(2, 40), tellBuckets(2, 50)]).toEqual([none, count, all]);
});
