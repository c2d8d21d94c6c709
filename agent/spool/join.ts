import { EVENTS_MAX, RECORDS_MAX, SERIES_MAX, TICKS_MAX, type Series } from '@muster/proto/batch';
import { DESCRIPTIONS_MAX, type MetricDescription } from '@muster/proto/custom';
import { BODY_BYTES_MAX } from '@muster/proto/push';

import { countBytes, type Matrix } from '../matrix.ts';
import type { WaitingBatch } from './shelf.ts';

/** A batch travels even if it cannot be compressed at all; the rest is for events and the inventory. */
export const BATCH_BYTES_MAX = BODY_BYTES_MAX - 64 * 1024;

/** As many of the batches, from the first on, as make one: it carries all that they do, under the last one's `seq`. */
export function joinBatches(batches: readonly [WaitingBatch, ...WaitingBatch[]]): {
  readonly batch: WaitingBatch;
  readonly count: number;
} {
  const [first] = batches;
  const rows = new Map<string, Series>();
  const described = new Map<string, MetricDescription>();
  let nameBytes = addRows(rows, first) + addDescribed(described, first);
  let end = 1;
  let ticks = first.ticksMs.length;
  let events = first.events?.length ?? 0;
  for (const next of batches.slice(1)) {
    const last = batches[end - 1] ?? first;
    ticks += next.ticksMs.length;
    events += next.events?.length ?? 0;
    const fresh = findFresh(rows, next);
    const told = findUndescribed(described, next);
    const freshBytes = countBytes({ ticksMs: [], series: fresh, described: told });
    const bytes = nameBytes + freshBytes + ticks * (9 + 8 * (rows.size + fresh.length));
    const isTooMuch = ticks > TICKS_MAX || events > EVENTS_MAX || next.seq - first.seq >= RECORDS_MAX;
    const isNarrow = rows.size + fresh.length <= SERIES_MAX && described.size + told.length <= DESCRIPTIONS_MAX;
    const isTooWide = bytes > BATCH_BYTES_MAX || !isNarrow;
    if (isTooMuch || isTooWide || !follows(last, next)) break;
    nameBytes += addRows(rows, next) + addDescribed(described, next);
    end += 1;
  }
  if (end === 1) return { batch: first, count: 1 };
  const batch = join(batches.slice(0, end), rows);
  return { batch: described.size === 0 ? batch : { ...batch, described: [...described.values()] }, count: end };
}

/** Whether a record can travel in one batch with the one before it. */
function follows(last: WaitingBatch, next: WaitingBatch): boolean {
  const isNext = next.epoch === last.epoch && next.seq === last.seq + 1;
  return isNext && next.everyMs === last.everyMs && (next.ticksMs[0] ?? Infinity) > (last.ticksMs.at(-1) ?? -1);
}

/** Adds the series that are new; gives what their names take in a message. */
function addRows(rows: Map<string, Series>, batch: WaitingBatch): number {
  const fresh = findFresh(rows, batch);
  for (const one of fresh) rows.set(one.join(' '), one);
  return countBytes({ ticksMs: [], series: fresh });
}

/** Adds what is said of metrics that are new; gives what that takes in a message. */
function addDescribed(described: Map<string, MetricDescription>, batch: WaitingBatch): number {
  const fresh = findUndescribed(described, batch);
  for (const one of fresh) described.set(one[0], one);
  return countBytes({ ticksMs: [], series: [], described: fresh });
}

function findUndescribed(
  known: ReadonlyMap<string, MetricDescription>,
  { described = [] }: WaitingBatch,
): readonly MetricDescription[] {
  return described.filter(([metric]) => !known.has(metric));
}

function findFresh(rows: ReadonlyMap<string, Series>, { series }: WaitingBatch): readonly Series[] {
  return series.filter((one) => !rows.has(one.join(' ')));
}

function join(batches: readonly WaitingBatch[], rows: ReadonlyMap<string, Series>): WaitingBatch {
  const [first] = batches;
  const last = batches.at(-1);
  if (first === undefined || last === undefined) throw new Error('There is nothing to join');
  const events = batches.flatMap((batch) => batch.events ?? []);
  const info = batches.findLast((batch) => batch.info !== undefined)?.info;
  return {
    epoch: last.epoch,
    seq: last.seq,
    since: first.since ?? first.seq,
    ...(last.everyMs === undefined ? {} : { everyMs: last.everyMs }),
    ...joinMatrices(batches, rows),
    ...(info === undefined ? {} : { info }),
    ...(events.length === 0 ? {} : { events }),
  };
}

function joinMatrices(batches: readonly WaitingBatch[], rows: ReadonlyMap<string, Series>): Matrix {
  const ticksMs = batches.flatMap((batch) => batch.ticksMs);
  const values = new Float64Array(rows.size * ticksMs.length).fill(Number.NaN);
  const places = new Map([...rows.keys()].map((key, row) => [key, row * ticksMs.length]));
  let column = 0;
  for (const batch of batches) {
    const width = batch.ticksMs.length;
    for (const [row, one] of batch.series.entries()) {
      // addRows has seen every series.
      values.set(batch.values.subarray(row * width, (row + 1) * width), (places.get(one.join(' ')) ?? 0) + column);
    }
    column += width;
  }
  return { ticksMs, series: [...rows.values()], values };
}
