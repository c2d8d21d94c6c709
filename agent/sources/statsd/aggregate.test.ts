import { readDescriptions } from '@muster/proto/custom';
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { QUANTILES } from '../../custom/histogram.ts';
import { IDLE_MS, makeSeriesPool } from '../../custom/series.ts';
import type { Sample } from '../../source.ts';
import { anyTextLike } from '../../testing/any-text.ts';
import { makeRises } from '../../testing/rises.ts';
import { makeAggregate, SET_VALUES_MAX } from './aggregate.ts';

function makeSmall(limit = 100) {
  const keeper = makeSeriesPool().open('statsd', limit);
  const aggregate = makeAggregate(keeper, limit);
  const read = (nowMs = 0) => show(aggregate.read(nowMs));
  const show = (samples: readonly Sample[]): Record<string, number> =>
    Object.fromEntries(samples.map(({ metric, labels, value }) => [`${metric}{${labels}}`, value]));
  return {
    held: aggregate.held,
    take: (...lines: readonly string[]) => lines.forEach((line) => aggregate.take(line, 0)),
    read,
    /** When counters have been told as 0. */
    readTwice: () => (read(), read()),
    samples: () => aggregate.read(0),
    refused: () => show(keeper.report(0).samples),
    words: (nowMs: number) => keeper.report(nowMs).refused,
  };
}

test('why values are refused is said for an hour, in words that stay the same', () => {
  const { take, words } = makeSmall();
  take('broken', 'system.x:1|c');
  const said = words(0);
  expect(said).toMatch(/^values are refused: it cannot be read; the name is one of Muster's own/);
  take('broken again');
  expect(words(5_000)).toBe(said);
  expect(words(3_600_000)).toBe('values are refused: it cannot be read');
  expect(words(3_605_000)).toBe(null);
});

test('counters add up, by their sample rate, and stand still when nothing comes', () => {
  const { take, read } = makeSmall();
  take('hits:1|c', 'hits:2|c', 'hits:1|c|@0.1', 'Hits:1|c|#b:2,a:1', 'hits:1|c|#a:1,b:2');
  expect(read()).toEqual({ 'hits{}': 0, 'hits{a=1,b=2}': 0 });
  expect(read()).toEqual({ 'hits{}': 13, 'hits{a=1,b=2}': 2 });
  expect(read()).toEqual({ 'hits{}': 13, 'hits{a=1,b=2}': 2 });
  take('hits:-1|c', 'hits:x|c');
  expect(read()['hits{}']).toBe(13);
});

test('a timer whose count is a counter of its own is refused, and takes no room', () => {
  const { take, read, refused } = makeSmall();
  take('x.count:1|c', 'x:5|ms', 'y:5|ms', 'y.sum:1|c');
  read();
  expect(Object.keys(read())).toEqual(['x.count{}', 'y.count{}', 'y.sum{}']);
  expect(refused()).toMatchObject({
    'muster.agent.series.count{muster.source=statsd}': 1 + 2 + QUANTILES.length,
    'muster.agent.samples.refused{muster.reason=kind,muster.source=statsd}': 2,
  });
});

test('a gauge is what was sent last; with a sign, a change of it', () => {
  const { take, read } = makeSmall();
  take('queue:5|g', 'queue:+3|g', 'queue:-10|g', 'fresh:-2|g');
  expect(read()).toEqual({ 'queue{}': -2, 'fresh{}': -2 });
});

test.for([
  // what says nothing of a type, and what is refused of it
  ['x|c', 'malformed'],
  ['-1|c', 'value'],
  ['x|g', 'malformed'],
  ['1e30|g', 'value'],
  ['x|ms', 'malformed'],
  [`${'x'.repeat(201)}|s`, 'value'],
] as const)('lines of %s make no series, and take no room from others', ([value, reason]) => {
  const { take, readTwice, refused } = makeSmall(2);
  take(...[1, 2, 3].map((i) => `junk${i}:${value}`), 'orders:1|c', 'orders:x:2|c');
  expect(readTwice()).toEqual({ 'orders{}': 3 });
  expect(refused()).toMatchObject({
    [`muster.agent.samples.refused{muster.reason=${reason},muster.source=statsd}`]: reason === 'malformed' ? 4 : 3,
    'muster.agent.series.dropped{muster.source=statsd}': 0,
  });
});

test.for([
  ['orders:1e18|c|@0.000001', 'orders:1|c', { 'orders{}': 1 }],
  ['orders:9e15|c', 'orders:9e15|c', { 'orders{}': 9e15 }],
  ['level:1e18|g', 'level:+1e18|g', { 'level{}': 1e18 }],
  ['size:9e15|h', 'size:9e15|h', { 'size.count{}': 1, 'size.sum{}': 9e15 }],
] as const)('of %s and %s one is refused: no sum is so large that it loses what is added', ([one, other, sums]) => {
  const { take, readTwice, refused } = makeSmall();
  take(one, other);
  expect(readTwice()).toEqual(sums);
  expect(refused()['muster.agent.samples.refused{muster.reason=value,muster.source=statsd}']).toBe(1);
});

test('a counter that stands high begins anew before it is full, and loses nothing', () => {
  const { take, read } = makeSmall();
  take('orders:9e15|c');
  expect([read(), read()]).toEqual([{ 'orders{}': 0 }, { 'orders{}': 9e15 }]);
  take('orders:7|c');
  expect([read(), read()]).toEqual([{ 'orders{}': 0 }, { 'orders{}': 7 }]);
});

test('a timer is seconds: its count and sum for ever, its quantiles of what came since the reading before', () => {
  const { take, read, samples } = makeSmall();
  take(...Array.from({ length: 100 }, (_, i) => `request.duration:${i + 1}|ms|#route:/a`));
  const first = read();
  expect(first['request.duration.count{route=/a}']).toBe(0);
  for (const [quantile, exact] of [
    ['0.5', 0.05],
    ['0.9', 0.09],
    ['0.99', 0.099],
  ] as const) {
    const found = first[`request.duration{quantile=${quantile},route=/a}`] ?? NaN;
    expect(Math.abs(found - exact) / exact).toBeLessThan(0.0101);
  }
  expect(first['request.duration{quantile=1,route=/a}']).toBe(0.1);
  expect(read()).toEqual({
    'request.duration.count{route=/a}': 100,
    'request.duration.sum{route=/a}': expect.closeTo(5.05),
  });
  take('request.duration:1|ms|@0.25|#route:/a');
  expect(Object.fromEntries(samples().map(({ metric, about }) => [metric, about]))).toEqual({
    'request.duration.count': { kind: 'counter', unit: '' },
    'request.duration.sum': { kind: 'counter', unit: 's' },
    'request.duration': { kind: 'gauge', unit: 's' },
  });
  expect(read()['request.duration.count{route=/a}']).toBe(104);
});

test('a timer whose name says milliseconds stays milliseconds; a histogram has no unit', () => {
  const { take, samples } = makeSmall();
  take('latency_ms:250|ms', 'size:250|h', 'spread:7|d');
  samples();
  const found = samples().map(({ metric, value, about }) => `${metric} ${value} ${about?.unit}`);
  expect(found).toContain('latency_ms.sum 250 ms');
  expect(found).toContain('size.sum 250 ');
  expect(found).toContain('spread.sum 7 ');
});

test('a set counts what is different since the reading before, and says nothing when that is too much', () => {
  const { take, read } = makeSmall();
  take('users:alice|s', 'users:bob|s', 'users:alice|s');
  expect(read()).toEqual({ 'users{}': 2 });
  expect(read()).toEqual({ 'users{}': 0 });
  take(...Array.from({ length: SET_VALUES_MAX + 1 }, (_, i) => `users:${i}|s`));
  expect(read()).toEqual({});
  expect(read()).toEqual({ 'users{}': 0 });
});

test.for([
  ['a:1|c', 'a:1|g'],
  ['a:1|g', 'a:1|s'],
  ['a:1|ms', 'a:1|h'],
  ['a:1|ms', 'a.count:1|c'],
  ['a.sum:1|c', 'a:1|h'],
] as const)('after %s, %s is refused: a metric is one thing', ([first, second]) => {
  const { take, read, readTwice, refused } = makeSmall();
  take(first);
  const before = readTwice();
  take(second);
  expect(read()).toMatchObject(
    Object.fromEntries(Object.entries(before).filter(([name]) => !name.includes('quantile'))),
  );
  expect(refused()['muster.agent.samples.refused{muster.reason=kind,muster.source=statsd}']).toBe(1);
});

test.for([
  ['system.cpu.time:1|c', 'reserved'],
  ['muster.agent.cpu_time:1|c', 'reserved'],
  ['__proto__:1|c', 'name'],
  ['requests,host=a:1|c', 'name'],
  ['requests;host=a:1|c', 'name'],
  ['x:1|c|#__proto__:1', 'labels'],
  ['x:1|c|#quantile:0.5', 'labels'],
  ['x:1e30|g', 'value'],
  ['garbage', 'malformed'],
] as const)('%s is refused as %s', ([line, reason]) => {
  const { take, read, refused } = makeSmall();
  take(line);
  expect(read()).toEqual({});
  expect(refused()[`muster.agent.samples.refused{muster.reason=${reason},muster.source=statsd}`]).toBe(1);
});

test.for([
  // its limit, what comes while a counter of 5 is idle, how it stands when it comes again
  [1, [], [5, 6]],
  [2, ['b:1|c'], [5, 6]],
  [1, ['b:1|c'], [0, 1]],
  [1, ['a:1|g'], [0, 1]],
] as const)(
  'of %i series one ends when it is no longer sent; after %j it goes on from %j',
  ([limit, lines, stands]) => {
    const { take, read } = makeSmall(limit);
    take('a:5|c');
    expect([read(), read()]).toEqual([{ 'a{}': 0 }, { 'a{}': 5 }]);
    expect(read(IDLE_MS)).toEqual({});
    take(...lines);
    expect(Object.keys(read(IDLE_MS))).toHaveLength(lines.length);
    expect(read(2 * IDLE_MS)).toEqual({});
    take('a:1|c');
    expect([read(2 * IDLE_MS), read(2 * IDLE_MS)]).toEqual(stands.map((value) => ({ 'a{}': value })));
  },
);

test.for([
  [['conns:+4|g', 'conns:+6|g'], 9],
  [['conns:10|g'], 9],
] as const)('a gauge of %j that was idle is changed from where it stood, to %i', ([lines, level]) => {
  const { take, read } = makeSmall();
  take(...lines);
  expect(read()).toEqual({ 'conns{}': 10 });
  expect(read(IDLE_MS)).toEqual({});
  take('conns:-1|g');
  expect(read(IDLE_MS)).toEqual({ 'conns{}': level });
});

test.for([1, 7, 12, 30])('what comes every %i min rises by as much as came, at the collector', (everyMin) => {
  const keeper = makeSeriesPool().open('statsd', 100);
  const aggregate = makeAggregate(keeper, 100);
  const rises = makeRises();
  for (let tsMs = 0; tsMs < 3 * 3_600_000; tsMs += 10_000) {
    if (tsMs % (everyMin * 60_000) === 0)
      for (const line of ['backup.failed:1|c', 'backup.time:500|ms']) aggregate.take(line, tsMs);
    rises.take(aggregate.read(tsMs), tsMs);
  }
  const events = Math.ceil(180 / everyMin);
  expect(rises.all()).toEqual({ 'backup.failed': events, 'backup.time.count': events, 'backup.time.sum': events / 2 });
});

test('a million names, good and bad, are kept only as far as there is room for them', () => {
  const { take, read, refused, held } = makeSmall(1000);
  let spellings = 0;
  for (let i = 0; i < 1_000_000; i += 1) {
    take(i % 2 === 0 ? `name.of.a.metric.${i}:1|c|#tag:${i}` : `name.of.a.metric.${i}:1|c|#__proto__:${i}`);
    spellings = Math.max(spellings, held().spellings);
  }
  expect([held().series, spellings]).toEqual([1000, 2000]);
  expect(Object.keys(read())).toHaveLength(1000);
  expect(refused()).toMatchObject({
    'muster.agent.series.dropped{muster.source=statsd}': 499_000,
    'muster.agent.samples.refused{muster.reason=labels,muster.source=statsd}': 500_000,
  });
}, 60_000);

test('whatever is sent, what is told can travel', () => {
  const line = fc.oneof(
    anyTextLike('request.duration:12.5|ms|@0.5|#service:web,route:/a'),
    fc
      .tuple(
        fc.constantFrom('a', 'a.b', 'a-b', 'A'),
        fc.constantFrom('1', '-1', '+2', '1e9', 'x'),
        fc.constantFrom('c', 'g', 'h', 'd', 's', 'ms'),
      )
      .map(([name, value, type]) => `${name}:${value}|${type}`),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const { take, samples } = makeSmall();
      take(...lines);
      const found = samples();
      for (const { value } of found) expect(Number.isFinite(value)).toBe(true);
      const described = new Map(found.map(({ metric, about }) => [metric, [metric, about?.kind, about?.unit]]));
      expect(readDescriptions([...described.values()])).toEqual({ ok: true, value: [...described.values()] });
      const names = found.map(({ metric, labels }) => `${metric} ${labels}`);
      expect(new Set(names).size).toBe(names.length);
    }),
  );
});
