import { expect, test } from 'vitest';

import { makeIntake } from '../../custom/intake.ts';
import { makeSeriesPool } from '../../custom/series.ts';
import { fixed } from '../../testing/otlp-message.ts';
import { decodeBody } from './answer.ts';
import { parseExport } from './export.ts';
import { encodeProtobuf } from './protobuf.ts';

type Json = Readonly<Record<string, unknown>>;

function makeSmall() {
  const intake = makeIntake(makeSeriesPool().open('otlp', 20));
  return {
    /** Gives why points were refused. */
    take: (...resourceMetrics: readonly Json[]) => {
      const points = parseExport({ resourceMetrics });
      return intake.take(points.ok ? points.value : [], 0).map(({ refusal }) => refusal);
    },
    /** Each series as it stands; twice, for what begins is told as it stood before. */
    read: () => {
      const samples = [...intake.read(0), ...intake.read(0)];
      return Object.fromEntries(samples.map(({ metric, labels, value }) => [`${metric}{${labels}}`, value]));
    },
  };
}

type Told = { readonly scope?: string; readonly pid?: number; readonly metrics: readonly Json[] };

function toResource({ scope = 'x', pid = 1, metrics }: Told): Json {
  const attributes = [
    { key: 'service.name', value: { stringValue: 'shop' } },
    { key: 'process.pid', value: { intValue: pid } },
  ];
  return { resource: { attributes }, scopeMetrics: [{ scope: { name: scope }, metrics }] };
}

function numbers(field: string, times: readonly (readonly [atNs: number, value: number])[], more: Json = {}): Json {
  const dataPoints = times.map(([atNs, asDouble]) => ({
    asDouble,
    timeUnixNano: String(atNs),
    startTimeUnixNano: '1',
  }));
  return { name: 'a', [field]: { dataPoints, ...more } };
}
const DELTA = { aggregationTemporality: 1, isMonotonic: true };
const ALL = { aggregationTemporality: 2, isMonotonic: true };

const COMMAND = { key: 'process.command_args', value: { arrayValue: { values: [{ stringValue: 'x' }] } } };
test.for([
  ['beside the name', (name: string) => [COMMAND, { key: 'service.name', value: { stringValue: name } }]],
  [
    'for another label',
    (name: string) => [
      { ...COMMAND, key: 'service.namespace' },
      { key: 'service.name', value: { stringValue: name } },
    ],
  ],
] as const)('a resource with a list is told by its name: a list %s', ([, attributesOf]) => {
  const { take, read } = makeSmall();
  const metrics = [numbers('sum', [[2, 10]], DELTA)];
  const resources = ['cart', 'shop'].map((name) => ({
    resource: { attributes: attributesOf(name) },
    scopeMetrics: [{ metrics }],
  }));
  expect(take(...resources)).toEqual([]);
  expect(read()).toEqual({ 'a{service.name=cart}': 10, 'a{service.name=shop}': 10 });
});

/** An attribute whose value has one field, and a gauge of 1 with it, of a resource with it. */
function encodeGauge(key: string, value: Buffer): Buffer {
  const attribute = encodeProtobuf([
    [1, key],
    [2, value],
  ]);
  const one = Buffer.alloc(8);
  one.writeDoubleLE(1);
  const point = Buffer.concat([fixed(4, one), encodeProtobuf([[7, attribute]])]);
  const metric = encodeProtobuf([
    [1, 'a'],
    [5, encodeProtobuf([[1, point]])],
  ]);
  const name = encodeProtobuf([
    [1, 'service.name'],
    [2, encodeProtobuf([[1, 'shop']])],
  ]);
  const resource = encodeProtobuf([
    [1, attribute],
    [1, name],
  ]);
  const metrics = encodeProtobuf([
    [1, resource],
    [2, encodeProtobuf([[2, metric]])],
  ]);
  return encodeProtobuf([[1, metrics]]);
}

const TEXT = encodeProtobuf([[1, 'y']]);
test.for([
  ['a list', 'labels', [[5, encodeProtobuf([[1, TEXT]])]]],
  ['an empty list', 'labels', [[5, '']]],
  ['a map', 'labels', [[6, encodeProtobuf([[1, 'x']])]]],
  ['bytes', 'labels', [[7, 'x']]],
  ['nothing', null, []],
  ['an empty text', null, [[1, '']]],
] as const)('in protobuf too, a point whose attribute is %s is refused as %s', ([, refusal, fields]) => {
  const points = decodeBody(encodeGauge('x', encodeProtobuf(fields)), 'protobuf', false);
  expect(points).toMatchObject({
    ok: true,
    value: [{ labels: [['service.name', 'shop'], ...(refusal === null ? [['x', '']] : [])] }],
  });
  const intake = makeIntake(makeSeriesPool().open('otlp', 1));
  const refused = intake.take(points.ok ? points.value : [], 0).map((one) => one.refusal);
  expect(refused).toEqual(refusal === null ? [] : [refusal]);
  expect(intake.read(0).map(({ labels }) => labels)).toEqual(refusal === null ? ['service.name=shop'] : []);
});

test.for([
  [{ value: {} }, []],
  [{}, []],
  [{ value: null }, []],
  [{ value: 'text' }, ['labels']],
  [{ value: { arrayValue: {} } }, ['labels']],
] as const)('a point with an attribute of %j is refused as %j', ([more, refused]) => {
  const dataPoints = [{ asInt: 1, attributes: [{ key: 'x', ...more }] }];
  expect(makeSmall().take(toResource({ metrics: [{ name: 'a', gauge: { dataPoints } }] }))).toEqual(refused);
});

const [OLD, NEW] = [
  [2, 10],
  [3, 17],
] as const;
test.for([
  ['gauge', {}, [OLD, NEW], 17],
  ['gauge', {}, [NEW, OLD], 17],
  ['sum', ALL, [OLD, NEW], 17],
  ['sum', ALL, [NEW, OLD], 17],
  ['sum', DELTA, [OLD, NEW], 27],
  ['sum', DELTA, [NEW, OLD], 27],
] as const)(
  'what one stream tells at several times counts in the order of time: %s of %j at %j gives %d',
  ([field, more, times, told]) => {
    const exports = [
      [toResource({ metrics: [numbers(field, times, more)] })],
      times.map((one) => toResource({ metrics: [numbers(field, [one], more)] })), // as a Collector joins them
    ];
    for (const all of exports) {
      const { take, read } = makeSmall();
      expect([take(...all), read()]).toEqual([[], { 'a{service.name=shop}': told }]);
    }
  },
);

const FIRST = { scope: 'x', pid: 1 };
test.for([
  ['at one time', [2, 2], FIRST],
  ['without a time', [0, 0], FIRST],
  ['by two scopes', [2, 3], { scope: 'y', pid: 1 }],
  ['by two processes', [2, 3], { scope: 'x', pid: 2 }],
] as const)('a series that is told twice %s is taken once, at every export', ([, [oneNs, otherNs], second]) => {
  const { take, read } = makeSmall();
  const all = [
    toResource({ ...FIRST, metrics: [numbers('sum', [[oneNs, 10]], DELTA)] }),
    toResource({ ...second, metrics: [numbers('sum', [[otherNs, 7]], DELTA)] }),
  ];
  expect([take(...all), take(...all), read()]).toEqual([['taken'], ['taken'], { 'a{service.name=shop}': 20 }]);
});

test.for([
  [0, 'quantile=0.5', 0],
  [0, 'quantile=0.9', 1.75],
  [0.5, 'quantile=0.5', 0], // of the two between -0.5 and 0.5 the first is at the middle
] as const)(
  'of 4 from -4 to -2, 2 zeros up to %d and 4 from 1 to 2, %s is %d',
  ([zeroThreshold, quantile, expected]) => {
    const point = (times: number) => ({
      count: 10 * times,
      scale: 0,
      zeroCount: 2 * times,
      zeroThreshold,
      positive: { offset: 0, bucketCounts: [4 * times] },
      negative: { offset: 1, bucketCounts: [4 * times] },
    });
    const tell = (times: number, aggregationTemporality: number) =>
      toResource({
        metrics: [{ name: 'e', exponentialHistogram: { dataPoints: [point(times)], aggregationTemporality } }],
      });
    const { take, read } = makeSmall();
    take(tell(1, 1));
    expect(read()[`e{${quantile},service.name=shop}`]).toBe(expected);
    const all = makeSmall();
    all.take(tell(1, 2));
    all.take(tell(2, 2));
    expect(all.read()[`e{${quantile},service.name=shop}`]).toBe(expected);
  },
);
