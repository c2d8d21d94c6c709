import fc from 'fast-check';
import { expect, test } from 'vitest';

import { SERIES_MAX, type Batch } from '@muster/proto/batch';
import { findAbout } from '@muster/proto/custom';

import { makeLatest } from './latest.ts';

const IO = 'network.io.direction=receive';

function makeBatch(ticksMs: readonly number[], series: Record<string, readonly number[]>): Batch {
  const names = Object.keys(series).map((key) => key.split('|'));
  return {
    epoch: 1,
    seq: 1,
    sentMs: 0,
    ticksMs,
    series: names.map(([metric = '', labels = '']) => [metric, labels] as const),
    values: Float64Array.from(Object.values(series).flat()),
  };
}

function makeKnown() {
  const latest = makeLatest({ find: findAbout, version: () => 0 });
  latest.addHost('web-1', '<b>web</b>', null);
  return latest;
}

test('row() of a host that has sent nothing is new, with nothing known', () => {
  expect(makeKnown().row('web-1', 1000)).toMatchObject({
    host: 'web-1',
    name: '<b>web</b>',
    status: 'new',
    lastMs: null,
    cpuRatio: null,
  });
  expect(makeKnown().row('web-2', 1000)).toBeNull();
});

test('apply() gives every newer value: gauges as they are, counters as rates', () => {
  const latest = makeKnown();
  const batch = makeBatch([5000, 10_000], {
    'system.cpu.utilization|': [0.5, 0.25],
    [`system.network.io|${IO}`]: [1000, 6000],
  });
  expect(latest.apply('web-1', batch, 10_100)).toEqual([
    { metric: 'system.cpu.utilization', labels: '', tsMs: 5000, value: 0.5 },
    { metric: 'system.cpu.utilization', labels: '', tsMs: 10_000, value: 0.25 },
    { metric: 'system.network.io', labels: IO, tsMs: 5000, value: null },
    { metric: 'system.network.io', labels: IO, tsMs: 10_000, value: 1000 },
  ]);
  expect(latest.row('web-1', 10_200)).toMatchObject({
    status: 'up',
    lastMs: 10_000,
    everyMs: 5000,
    cpuRatio: 0.25,
    receiveBytesPerSecond: 1000,
  });
});

test('apply() leaves the same behind whether anybody looks or not', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.option(fc.nat({ max: 9 }), { nil: NaN }), { maxLength: 5 })), (batches) => {
      const [shown, unseen] = [makeKnown(), makeKnown()];
      let tickMs = 0;
      for (const counts of batches) {
        const ticksMs = counts.map(() => (tickMs += 1000));
        const batch = makeBatch(ticksMs, {
          [`system.network.io|${IO}`]: counts,
          'system.cpu.utilization|': counts.map((count) => count / 10),
        });
        shown.apply('web-1', batch, tickMs);
        expect(unseen.apply('web-1', batch, tickMs, false)).toEqual([]);
        expect(unseen.values('web-1')).toEqual(shown.values('web-1'));
      }
    }),
  );
});

test('apply() gives no rate over a reset, and no negative one', () => {
  const latest = makeKnown();
  const values = latest.apply(
    'web-1',
    makeBatch([1000, 2000, 3000], { [`system.network.io|${IO}`]: [5000, 10, 30] }),
    3000,
  );
  expect(values.map(({ value }) => value)).toEqual([null, null, 20]);
});

test('apply() passes over a batch out of a backlog and over ticks without a sample', () => {
  const latest = makeKnown();
  latest.apply('web-1', makeBatch([10_000], { 'system.cpu.utilization|': [0.9] }), 10_000);
  expect(latest.apply('web-1', makeBatch([5000], { 'system.cpu.utilization|': [0.1] }), 10_100)).toEqual([]);
  expect(latest.apply('web-1', makeBatch([15_000], { 'system.cpu.utilization|': [NaN] }), 15_000)).toEqual([]);
  expect(latest.row('web-1', 15_000)).toMatchObject({ cpuRatio: 0.9, lastMs: 15_000 });
});

test('apply() forgets a series that is no longer renewed', () => {
  const latest = makeKnown();
  const disk =
    'system.filesystem.utilization|system.device=/dev/sdb,system.filesystem.mountpoint=/mnt,system.filesystem.type=ext4';
  latest.apply('web-1', makeBatch([1000], { [disk]: [0.99] }), 1000);
  expect(latest.row('web-1', 1000)).toMatchObject({ diskRatio: 0.99, diskMountpoint: '/mnt' });
  latest.apply('web-1', makeBatch([1000 + 600_001], { 'system.uptime|': [1] }), 601_001);
  expect(latest.row('web-1', 601_001)).toMatchObject({ diskRatio: null, diskMountpoint: null });
});

test.for([
  [20_000, 'up'],
  [25_000, 'up'],
  [25_001, 'silent'],
] as const)('status() at %i ms, the last batch having come at 10,000, is %s', ([nowMs, status]) => {
  const latest = makeKnown();
  latest.apply('web-1', makeBatch([5000, 10_000], { 'system.uptime|': [1, 2] }), 10_000);
  expect(latest.status('web-1', nowMs)).toBe(status);
});

test.for(['quarantined', 'revoked'] as const)(
  'a %s host is that whether it is heard or not, until it may send again',
  (ended) => {
    const latest = makeKnown();
    latest.setEnded('web-1', ended);
    latest.setEnded('nobody', ended);
    expect(latest.status('web-1', 1000)).toBe(ended);
    latest.apply('web-1', makeBatch([5000], { 'system.uptime|': [1] }), 5000);
    expect(latest.row('web-1', 5000)).toMatchObject({ status: ended, uptimeSeconds: 1 });
    latest.setEnded('web-1', null);
    expect(latest.status('web-1', 5000)).toBe('up');
  },
);

test('status() does not depend on the clock of the host, nor on its being set back', () => {
  const latest = makeKnown();
  for (const [i, tickMs] of [900_000, 500, 5500].entries()) {
    latest.apply('web-1', makeBatch([tickMs], { 'system.uptime|': [1] }), 1_000_000 + i * 10_000);
    expect(latest.status('web-1', 1_000_000 + i * 10_000 + 9000)).toBe('up');
  }
  latest.apply('web-1', makeBatch([], {}), 1_040_000); // all its ticks were refused
  expect(latest.status('web-1', 1_050_000)).toBe('up');
});

test('row() tells the interval of ticks that are new, not of those that come late with them', () => {
  const latest = makeKnown();
  for (const ticksMs of [[0], [5000], [4000, 6000]])
    latest.apply('web-1', makeBatch(ticksMs, { 'system.uptime|': ticksMs.map(() => 1) }), 6000);
  expect(latest.row('web-1', 6000)?.everyMs).toBe(1000);
});

test.for([
  ['a steady agent', [0, 5, 10], 5000],
  ['one tick', [0], null],
  ['faster while watched', [0, 5, 10, 11, 12], 1000],
  ['slower again', [0, 1, 2, 32, 62], 30_000],
  ['an outage', [0, 5, 10, 1200], 5000],
  ['after an outage', [0, 5, 10, 1200, 1205], 5000],
] as const)('row() tells the interval of %s', ([, seconds, everyMs]) => {
  const latest = makeKnown();
  for (const second of seconds)
    latest.apply('web-1', makeBatch([second * 1000], { 'system.uptime|': [1] }), second * 1000);
  expect(latest.row('web-1', 0)?.everyMs).toBe(everyMs);
});

test('apply() knows a bounded number of series of a host', () => {
  const latest = makeKnown();
  for (const round of [0, 1]) {
    const series = Array.from({ length: SERIES_MAX }, (_, i) => ['m.gauge', `i=${round}${i}`] as const);
    const batch = { ...makeBatch([round], {}), series, values: new Float64Array(SERIES_MAX) };
    latest.apply('web-1', batch, round);
  }
  expect(latest.values('web-1').length).toBe(SERIES_MAX);
});

test('restore() brings a host back as it was, rates excepted', () => {
  const latest = makeKnown();
  latest.restore({ host: 'web-1', metric: 'system.cpu.utilization', labels: '', tsMs: 5000, value: 0.5 }, 60_000);
  latest.restore({ host: 'web-1', metric: 'system.network.io', labels: IO, tsMs: 5000, value: 100 }, 60_000);
  latest.restore({ host: 'gone', metric: 'system.uptime', labels: '', tsMs: 5000, value: 1 }, 60_000);
  expect(latest.hosts()).toEqual(['web-1']);
  expect(latest.row('web-1', 60_000)).toMatchObject({
    status: 'silent',
    lastMs: 5000,
    cpuRatio: 0.5,
    receiveBytesPerSecond: null,
  });
  latest.apply('web-1', makeBatch([10_000], { [`system.network.io|${IO}`]: [1100] }), 60_100);
  expect(latest.row('web-1', 60_100)).toMatchObject({ status: 'up', receiveBytesPerSecond: 200 });
});

test('restoreHeard() says that a host was heard of which no value is known, and never in the future', () => {
  const latest = makeLatest({ find: findAbout, version: () => 0 });
  latest.addHost('web-1', 'web-1', null);
  expect(latest.row('web-1', 9_000_000)?.status).toBe('new');
  latest.restoreHeard({ host: 'web-1', lastMs: 5_000, arrivedMs: 6_000 }, 9_000_000);
  expect(latest.row('web-1', 9_000_000)).toMatchObject({ status: 'silent', lastMs: 5_000, arrivedMs: 6_000 });
  latest.restoreHeard({ host: 'web-1', lastMs: 4_000, arrivedMs: 9_500_000 }, 9_000_000);
  expect(latest.row('web-1', 9_000_000)).toMatchObject({ lastMs: 5_000, arrivedMs: 9_000_000 });
  latest.restoreHeard({ host: 'gone', lastMs: 1, arrivedMs: 1 }, 9_000_000);
  expect(latest.hosts()).toEqual(['web-1']);
});
