import fc from 'fast-check';
import { expect, test } from 'vitest';

import { FUTURE_MS_MAX, PAST_MS_MAX, type Batch } from '@muster/proto/batch';

import { judgeBatch } from './legal.ts';
import { makeQuarantineShare, QUARANTINE_ROWS_MAX } from './quarantine-share.ts';

const NOW_MS = 1_795_312_800_000;
const TIMES = { nowMs: NOW_MS, pastMsMax: PAST_MS_MAX } as const;
const YEAR_MS = 365 * 86_400_000;

function makeBatch(ticksMs: readonly number[], more: Partial<Batch> = {}): Batch {
  const values = Float64Array.from(ticksMs, () => 0.5);
  return {
    epoch: 1,
    seq: 1,
    sentMs: NOW_MS,
    ticksMs,
    series: [['system.cpu.utilization', '']],
    values,
    events: [],
    ...more,
  };
}

test.for([
  [0, null],
  [FUTURE_MS_MAX, null],
  [FUTURE_MS_MAX + 1, 'future'],
  [YEAR_MS, 'future'],
  [-PAST_MS_MAX, null],
  [-PAST_MS_MAX - 1, 'past'],
  [-NOW_MS, 'past'],
] as const)('judgeBatch() of a tick %i ms from now sets it aside as %s', ([offsetMs, reason]) => {
  const tickMs = NOW_MS + offsetMs;
  const { batch, quarantined, rows } = judgeBatch('web-1', makeBatch([tickMs]), TIMES, 10);
  expect([batch.ticksMs, batch.values.length]).toEqual(reason === null ? [[tickMs], 1] : [[], 0]);
  expect(quarantined).toBe(reason === null ? 0 : 1);
  const row = { host: 'web-1', metric: 'system.cpu.utilization', labels: '', tickMs, value: 0.5, reason };
  expect(rows).toEqual(reason === null ? [] : [{ ...row, receivedMs: NOW_MS }]);
});

test('judgeBatch() sets a value aside that its metric cannot have, and keeps what stands beside it', () => {
  const series = [
    ['system.cpu.utilization', ''],
    ['unheard.of', ''],
  ] as const;
  const values = Float64Array.of(0.1, 7, NaN, 3, Infinity, -1e300);
  const ticksMs = [NOW_MS - 2000, NOW_MS - 1000, NOW_MS];
  const { batch, quarantined, rows } = judgeBatch('web-1', makeBatch(ticksMs, { series, values }), TIMES, 10);
  expect(batch.ticksMs).toEqual(ticksMs);
  expect(batch.values).toEqual(Float64Array.of(0.1, NaN, NaN, 3, NaN, -1e300));
  expect(quarantined).toBe(2);
  expect(rows.map(({ metric, tickMs, value, reason }) => [metric, tickMs, value, reason])).toEqual([
    ['system.cpu.utilization', NOW_MS - 1000, 7, 'range'],
    ['unheard.of', NOW_MS - 1000, Infinity, 'range'],
  ]);
});

test('judgeBatch() loses no sample: each is in the batch or counted, whatever the clock', () => {
  const tick = fc.oneof(
    fc.integer({ min: NOW_MS - 2 * PAST_MS_MAX, max: NOW_MS + 2 * FUTURE_MS_MAX }),
    fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  );
  const value = fc.constantFrom(NaN, 0, 0.5, 2, Infinity, -Infinity);
  fc.assert(
    fc.property(
      fc.uniqueArray(tick, { maxLength: 8 }),
      fc.array(value, { minLength: 16, maxLength: 16 }),
      fc.nat({ max: 20 }),
      (unsorted, list, rowsMax) => {
        const ticksMs = unsorted.toSorted((a, b) => a - b);
        const series = [
          ['system.cpu.utilization', ''],
          ['unheard.of', ''],
        ] as const;
        const values = Float64Array.from(list.slice(0, 2 * ticksMs.length));
        const { batch, quarantined, rows } = judgeBatch('h', makeBatch(ticksMs, { series, values }), TIMES, rowsMax);
        const count = (all: Float64Array): number => all.filter((sample) => !Number.isNaN(sample)).length;
        expect(count(batch.values) + quarantined).toBe(count(values));
        expect(rows.length).toBe(Math.min(rowsMax, quarantined));
        for (const tickMs of batch.ticksMs) expect(Math.abs(tickMs - NOW_MS)).toBeLessThanOrEqual(PAST_MS_MAX);
      },
    ),
  );
});

test('makeQuarantineShare() gives each host so many rows an hour', () => {
  const share = makeQuarantineShare();
  expect(share.left('web-1', NOW_MS)).toBe(QUARANTINE_ROWS_MAX);
  share.take('web-1', QUARANTINE_ROWS_MAX - 1);
  expect([share.left('web-1', NOW_MS), share.left('web-2', NOW_MS)]).toEqual([1, QUARANTINE_ROWS_MAX]);
  expect(share.left('web-1', NOW_MS + 3_600_000)).toBe(QUARANTINE_ROWS_MAX);
});
