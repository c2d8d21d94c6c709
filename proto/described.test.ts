import { createHash } from 'node:crypto';

import { expect, test } from 'vitest';

import { decodePush, encodeBrief, fitToBasis, makeBasis, type Hash } from './basis.ts';
import { decodeBatch, encodeBatch, packMessage, unpackMessage, type Batch } from './batch.ts';
import type { MetricDescription } from './custom.ts';

const hash: Hash = (bytes) => createHash('sha256').update(bytes).digest();

const A: MetricDescription = ['a', 'counter', 's'];
const B: MetricDescription = ['b', 'gauge', ''];
const FIRST: Batch = {
  epoch: 1,
  seq: 1,
  run: 1,
  sentMs: 1,
  everyMs: 1_000,
  ticksMs: [1_000],
  series: [
    ['system.uptime', ''],
    ['a', ''],
  ],
  described: [A],
  values: Float64Array.of(1, 2),
  keep: true,
};
const BASIS = makeBasis(FIRST, null, hash);

function follow(series: Batch['series'], described: readonly MetricDescription[]): Batch {
  const values = Float64Array.from(series, () => 3);
  return { ...FIRST, seq: 2, ticksMs: [2_000], series, described, values };
}

test('a brief batch says what only its new metrics are, and both sides know all of them then', () => {
  const fitted = fitToBasis(follow([...FIRST.series, ['b', '']], [A, B]), BASIS);
  const bytes = fitted === null ? new Uint8Array() : encodeBrief(fitted, BASIS);
  expect(unpackMessage(bytes)).toMatchObject({ ok: true, value: { m: [B] } });
  const here = decodeBatch(encodeBatch(FIRST));
  const theirs = here.ok ? makeBasis(here.value, null, hash) : BASIS;
  expect(theirs.id).toEqual(BASIS.id);
  const told = decodePush(bytes, theirs);
  expect(told).toMatchObject({ ok: true, value: { batch: { described: [A, B] } } });
  if (!told.ok || fitted === null) throw new Error('it was not told');
  expect(makeBasis(told.value.batch, theirs, hash).id).toEqual(makeBasis(fitted, BASIS, hash).id);
});

test('what is known is not said again, and is known of a batch that says nothing', () => {
  const fitted = fitToBasis(follow([['system.uptime', '']], []), BASIS);
  const bytes = fitted === null ? new Uint8Array() : encodeBrief(fitted, BASIS);
  const message = unpackMessage(bytes);
  expect(message.ok && 'm' in message.value).toBe(false);
  expect(decodePush(bytes, BASIS)).toMatchObject({ ok: true, value: { batch: { described: [A] } } });
});

test('a metric that has become another is told in full', () => {
  expect(fitToBasis(follow(FIRST.series, [['a', 'gauge', 's']]), BASIS)).toBeNull();
  expect(fitToBasis(follow(FIRST.series, [['a', 'counter', '']]), BASIS)).toBeNull();
});

test('bases of which one says otherwise what a metric is are two', () => {
  const other = makeBasis({ ...FIRST, described: [['a', 'gauge', 's']] }, null, hash);
  expect(other.id).not.toEqual(BASIS.id);
});

test('a brief batch may not say what the basis says', () => {
  const fitted = fitToBasis(follow(FIRST.series, [A]), BASIS);
  const message = unpackMessage(fitted === null ? new Uint8Array() : encodeBrief(fitted, BASIS));
  const bytes = packMessage({ ...(message.ok ? message.value : {}), m: [A] });
  expect(decodePush(bytes, BASIS)).toEqual({
    ok: false,
    error: { kind: 'malformed', reason: 'm describes a twice' },
  });
});
