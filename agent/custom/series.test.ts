import { expect, test } from 'vitest';

import { findSampleFault } from '../testing/fixture.ts';
import { IDLE_MS, makeSeriesPool, SERIES_LIMIT, type SeriesName } from './series.ts';

const GAUGE = { kind: 'gauge', unit: '' } as const;

function name(metric: string, labels = ''): SeriesName {
  return { metric, labels, about: GAUGE };
}

test('the first series come in, and what is beyond the limit is told: counted, named, and once an hour as an event', () => {
  const keeper = makeSeriesPool().open('statsd', 2);
  expect(keeper.claim([name('a'), name('b')], 0)).toHaveLength(2);
  for (const metric of ['c', 'd', 'd', 'd']) {
    expect(keeper.claim([name(metric)], 0)).toBe('limit');
    keeper.refuse('limit', metric);
  }
  expect(keeper.claim([name('a')], 0)).toHaveLength(1);
  const report = keeper.report(1000);
  expect(report.remark).toContain('the limit of 2 are left out, most of them of d');
  expect(report.events).toEqual([{ kind: 'series-dropped', atMs: 1000, subject: 'statsd: d' }]);
  expect(report.samples).toContainEqual({
    metric: 'muster.agent.series.dropped',
    labels: 'muster.source=statsd',
    value: 4,
  });
  expect(report.samples.flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
  keeper.refuse('limit', 'c');
  expect(keeper.report(3_000_000).events).toEqual([]);
  expect(keeper.report(3_700_000).events).toHaveLength(1);
  expect(keeper.report(9_000_000).events).toEqual([]);
});

test('several series come in together or not at all', () => {
  const keeper = makeSeriesPool().open('statsd', 2);
  expect(keeper.claim([name('a'), name('b'), name('c')], 0)).toBe('limit');
  expect(keeper.claim([name('a'), name('b')], 0)).toHaveLength(2);
});

test('a series that is not told any more gives its place to another', () => {
  const keeper = makeSeriesPool().open('statsd', 1);
  keeper.claim([name('a')], 0);
  expect(keeper.expire(IDLE_MS - 1).size).toBe(0);
  expect(keeper.claim([name('b')], IDLE_MS)).toBe('limit');
  expect(Array.from(keeper.expire(IDLE_MS), ({ metric }) => metric)).toEqual(['a']);
  expect(keeper.claim([name('b')], IDLE_MS)).toHaveLength(1);
});

test('sources share their room, but for one with a limit of its own', () => {
  const pool = makeSeriesPool();
  const [first, second, third] = [
    pool.open('statsd', undefined),
    pool.open('otlp', undefined),
    pool.open('textfile', 1),
  ];
  const many = Array.from({ length: SERIES_LIMIT }, (_, i) => name('a', `i=${i}`));
  expect(first.claim(many, 0)).toHaveLength(SERIES_LIMIT);
  expect(second.claim([name('b')], 0)).toBe('limit');
  expect(third.claim([name('b')], 0)).toHaveLength(1);
  first.close();
  expect(second.claim([name('c')], 0)).toHaveLength(1);
});

test('no two sources tell one series, nor disagree about what a metric is', () => {
  const pool = makeSeriesPool();
  const [first, second] = [pool.open('statsd', undefined), pool.open('otlp', undefined)];
  first.claim([name('a')], 0);
  expect(second.claim([name('a')], 0)).toBe('taken');
  expect(second.claim([{ ...name('a', 'x=1'), about: { kind: 'counter', unit: '' } }], 0)).toBe('kind');
  expect(second.claim([{ ...name('a', 'x=1'), about: { kind: 'gauge', unit: 's' } }], 0)).toBe('kind');
  expect(second.claim([name('a', 'x=1')], 0)).toHaveLength(1);
  second.close();
  first.close();
  expect(second.claim([{ ...name('a'), about: { kind: 'counter', unit: '' } }], 0)).toHaveLength(1);
});
