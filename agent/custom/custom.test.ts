import fc from 'fast-check';
import { expect, test } from 'vitest';

import { isMetric, isReserved, isUnit } from '@muster/proto/custom';
import { parseLabels } from '@muster/proto/labels';
import { METRICS } from '@muster/proto/metric';

import { makeAllowance } from './allowance.ts';
import { quantileOf, subtractBuckets } from './histogram.ts';
import { addQuantile, toLabels } from './labels.ts';
import { parseUnitOfName, toMetricName, toUnit } from './name.ts';
import { makeSketch } from './sketch.ts';

test.for([
  ['http_requests_total', 'http_requests_total'],
  ['http.server.request.duration', 'http.server.request.duration'],
  ['Api.Request-Time', 'api.request_time'],
  ['job:rate5m', 'job_rate5m'],
  ['..a...b..', 'a.b'],
  ['a - b', 'a_b'],
  ['constructor', 'constructor'],
  ['systems.x', 'systems.x'],
  ['', null],
  ['2xx', null],
  ['_private', null],
  ['__proto__', null],
  ['größe', null],
  ['a\u001b[31mb', null],
  ['a\u202eb', null],
  ['x'.repeat(10_000), null],
  ['system', 'reserved'],
  ['System.CPU.utilization', 'reserved'],
  ['.muster.agent.cpu_time', 'reserved'],
  ['process.cpu.time', 'reserved'],
  ['hw.x', 'reserved'],
  ['systemd.x', 'reserved'],
  ['container.x', 'reserved'],
] as const)('toMetricName(%s) is %s', ([name, expected]) => {
  const metric = toMetricName(name);
  expect(metric.ok ? metric.value : metric.error === 'name' ? null : metric.error).toBe(expected);
});

test.for(Object.keys(METRICS))('what begins as %s does is ours', (metric) => {
  expect(isReserved(`${metric.split('.')[0]}.x`)).toBe(true);
});

test('toMetricName() makes what the wire takes of any text, and nothing that is ours', () => {
  const names = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary-ascii' }),
    fc.string({ unit: fc.constantFrom('a', 'B', '1', '.', '_', '-') }),
  );
  fc.assert(
    fc.property(names, (name) => {
      const metric = toMetricName(name);
      const isRight = !metric.ok || (isMetric(`${metric.value}.count`) && !isReserved(metric.value));
      expect(isRight).toBe(true);
      expect(isUnit(toUnit(name))).toBe(true);
      expect(isUnit(parseUnitOfName(name))).toBe(true);
    }),
  );
});

test.for([
  ['seconds', 's'],
  ['B', 'By'],
  ['1', ''],
  ['{request}', '{request}'],
  ['a b', ''],
  ['constructor', 'constructor'],
  ['x'.repeat(64), ''],
] as const)('toUnit(%s) is %s', ([unit, expected]) => expect(toUnit(unit)).toBe(expected));

test.for([
  ['http_seconds_total', 's'],
  ['disk_bytes', 'By'],
  ['hit_ratio', '1'],
  ['a_constructor', ''],
  ['requests_total', ''],
] as const)('parseUnitOfName(%s) is %s', ([name, expected]) => expect(parseUnitOfName(name)).toBe(expected));

test.for([
  [
    [
      ['b', '2'],
      ['a', '1'],
    ],
    'a=1,b=2',
  ],
  [[['a', 'x,y=z\\']], String.raw`a=x\,y\=z\\`],
  [[['a', '']], ''],
  [[['html', '<b>&"']], 'html=<b>&"'],
  [
    [
      ['a', '1'],
      ['a', '2'],
    ],
    null,
  ],
  [[['__proto__', 'x']], null],
  [[['constructor', 'x']], null],
  [[['quantile', '0.5']], null],
  [[['a b', 'x']], null],
  [[['a', '\u001b[31m']], null],
  [[['a', '\u202egnp']], null],
  [[['a', 'x'.repeat(201)]], null],
  [Array.from({ length: 17 }, (_, i) => [`k${i}`, 'x']), null],
  [Array.from({ length: 16 }, (_, i) => [`k${i}`, 'x'.repeat(100)]), null],
] as const)('toLabels(%j) is %s', ([pairs, expected]) => {
  const labels = toLabels(pairs as readonly (readonly [string, string])[]);
  expect(labels.ok ? labels.value : null).toBe(expected);
});

test('toLabels() makes canonical text of any pairs, with room for a quantile', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), fc.string())), (pairs) => {
      const labels = toLabels(pairs);
      if (!labels.ok) return;
      const parsed = parseLabels(addQuantile(labels.value, 0.99));
      expect(parsed.ok && parsed.value['quantile']).toBe('0.99');
    }),
  );
});

test('a sketch gives every quantile within 1 %, the largest value exactly, and nothing of nothing', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 1e-8, max: 1e8, noNaN: true }), { minLength: 1, maxLength: 200 }),
      (values) => {
        const sketch = makeSketch();
        for (const value of values) sketch.add(value, 1);
        const sorted = values.toSorted((a, b) => a - b);
        for (const quantile of [0.01, 0.5, 0.9, 0.99]) {
          const exact = sorted[Math.max(0, Math.ceil(quantile * values.length) - 1)] ?? 0;
          expect(Math.abs(sketch.quantile(quantile) - exact) / exact).toBeLessThan(0.0101);
        }
        expect(sketch.quantile(1)).toBe(sorted.at(-1));
        expect(sketch.quantile(0.01)).toBeGreaterThanOrEqual(sorted[0] ?? 0);
        sketch.clear();
        expect([sketch.count(), sketch.quantile(0.5)]).toEqual([0, NaN]);
      },
    ),
  );
});

test('a sketch takes 0, what is beyond its bounds, and what stands for many', () => {
  const sketch = makeSketch();
  sketch.add(0, 9);
  sketch.add(1e300, 1);
  expect([sketch.quantile(0.5), sketch.quantile(1), sketch.count()]).toEqual([0, 1e300, 10]);
  expect(sketch.quantile(0.99)).toBeGreaterThan(9e8);
});

const BUCKETS = [
  { upper: 1, count: 50 },
  { upper: 2, count: 40 },
  { upper: Infinity, count: 10 },
];
test.for([
  [0.5, {}, 1],
  [0.7, {}, 1.5],
  [0.99, {}, 2],
  [0.99, { min: 0.5, max: 12 }, 11],
  [1, {}, 2],
  [1, { max: 12 }, 12],
  [0.25, { min: 0.5 }, 0.75],
] as const)('quantileOf(0 … 1: 50, … 2: 40, more: 10; %d, %j) is %d', ([quantile, bounds, expected]) => {
  expect(quantileOf(BUCKETS, quantile, bounds)).toBeCloseTo(expected, 9);
});

test('quantileOf() of no values is none, and lies between the bounds of what there is', () => {
  expect(quantileOf([], 0.5, {})).toBeNaN();
  expect(quantileOf([{ upper: 1, count: 0 }], 0.5, {})).toBeNaN();
  expect(
    quantileOf(
      [
        { upper: -2, count: 0 },
        { upper: -1, count: 4 },
      ],
      0.5,
      {},
    ),
  ).toBe(-1.5);
});

/** Of `upper:count upper:count`. */
function toBuckets(text: string) {
  return text.split(' ').map((one) => {
    const [upper, count] = one.split(':').map(Number);
    return { upper: upper ?? NaN, count: count ?? NaN };
  });
}
test.for([
  ['1:5 2:4 Infinity:1', '1:6 2:4 Infinity:3', [1, 0, 2]],
  ['1:5 2:4', '1:5 2:5 4:1', [0, 1, 1]],
  ['2:0 4:5', '1:0 2:3 4:6', [0, 3, 1]],
  ['1:0 1.5:5 2:4 3:1', '1:0 2:10 4:3', [0, 1, 2]],
  ['1:0 2:3 9:0', '2:4', [1]],
  ['1:5 2:4', '1:4 2:9', []],
  ['1:5 2:4', '1:9', []],
] as const)('subtractBuckets() of %s, then %s, gives %j', ([before, now, since]) => {
  expect(subtractBuckets(toBuckets(now), toBuckets(before)).map(({ count }) => count)).toEqual(since);
});

test('an allowance is spent until its window is over', () => {
  let nowMs = 0;
  const allowance = makeAllowance({ windowMs: 1000, cpuRatioMax: 0.05, nowMs: () => nowMs });
  allowance.spend(49);
  expect(allowance.isSpent()).toBe(false);
  allowance.spend(1);
  nowMs = 400;
  expect([allowance.isSpent(), allowance.leftMs()]).toEqual([true, 600]);
  nowMs = 1000;
  expect(allowance.isSpent()).toBe(false);
  allowance.spend(3);
  expect(allowance.totalMs()).toBe(53);
});
