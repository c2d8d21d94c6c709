import { decodeBatch, encodeBatch } from '@muster/proto/batch';
import { DESCRIPTIONS_MAX, type MetricAbout } from '@muster/proto/custom';
import { expect, test } from 'vitest';

import type { CustomMetric, Sample } from '../source.ts';
import { drain, fill, openTestSpool as open } from '../testing/spool.ts';
import type { Tick } from '../sampler.ts';

function makeCustom(metric: string, about: MetricAbout, value = 1): Sample {
  return { metric: metric as CustomMetric, labels: '', value, about }; // a legal name
}

function makeTick(tsMs: number, ...samples: readonly Sample[]): Tick {
  return { tsMs, everyMs: 1_000, samples: [{ metric: 'system.uptime', labels: '', value: 1 }, ...samples] };
}

const COUNTER = { kind: 'counter', unit: 's' } as const;
const GAUGE = { kind: 'gauge', unit: '' } as const;

test('a batch says what its custom metrics are, each once, also after the disk and when it is joined of several', () => {
  const spool = open();
  fill(spool, [
    [makeTick(1_000, makeCustom('a', COUNTER), makeCustom('b', GAUGE))],
    [makeTick(2_000, makeCustom('a', COUNTER), makeCustom('c', GAUGE))],
    [makeTick(3_000)],
  ]);
  spool.takeNewest();
  const described = [
    ['a', 'counter', 's'],
    ['b', 'gauge', ''],
    ['c', 'gauge', ''],
  ];
  const parcel = spool.takeOldest(10);
  expect(parcel?.batch).toMatchObject({ since: 1, seq: 2, described });
  const bytes = parcel === null ? new Uint8Array() : encodeBatch({ ...parcel.batch, sentMs: 0, run: 1 });
  expect(decodeBatch(bytes)).toMatchObject({ ok: true, value: { described } });
});

test('a batch without custom metrics says nothing of any', () => {
  const spool = open();
  fill(spool, [[makeTick(1_000)]]);
  expect(drain(spool).map(({ batch }) => 'described' in batch)).toEqual([false]);
});

test('more metrics than one batch may describe travel in several', () => {
  const spool = open();
  const many = Array.from({ length: DESCRIPTIONS_MAX + 1 }, (_, i) => makeCustom(`m${i}`, COUNTER));
  fill(spool, [[makeTick(1_000, ...many)]]);
  const parcels = drain(spool, 10);
  expect(parcels.length).toBeGreaterThan(1);
  for (const { batch } of parcels) expect(decodeBatch(encodeBatch({ ...batch, sentMs: 0, run: 1 })).ok).toBe(true);
  const told = parcels.flatMap(({ batch }) => batch.described ?? []);
  expect(new Set(told.map(([metric]) => metric)).size).toBe(DESCRIPTIONS_MAX + 1);
});
