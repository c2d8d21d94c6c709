import { countSamples, type Batch } from '@muster/proto/batch';

import type { BatchRow, Dictionary, EventRow, QuarantineRow, SampleBlock } from '../domain/samples.ts';
import { clampTime } from './legal.ts';

/** A batch and the host whose token it came with. */
export type HostBatch = { readonly host: string; readonly batch: Batch };

/** A batch as far as it is legal, when it arrived, and what of it is set aside: how much, and what is kept of that. */
export type Arrival = HostBatch & {
  readonly quarantined: number;
  readonly rows: readonly QuarantineRow[];
  readonly receivedMs: number;
};

/** Turns batches into one block of columns, in the order host, series, tick. Samples that are NaN are left out. */
export function makeSampleBlock(items: readonly HostBatch[]): SampleBlock {
  const rowsMax = items.reduce((sum, { batch }) => sum + batch.values.length, 0);
  const metric = makeDictionary(rowsMax);
  const host = makeDictionary(rowsMax);
  const labels = makeDictionary(rowsMax);
  const tsMs = new Float64Array(rowsMax);
  const value = new Float64Array(rowsMax);
  let rows = 0;
  for (const item of items) {
    const { ticksMs, series, values } = item.batch;
    const hostIndex = host.indexOf(item.host);
    let at = 0;
    for (const [name, labelText] of series) {
      const metricIndex = metric.indexOf(name);
      const labelsIndex = labels.indexOf(labelText);
      for (const tickMs of ticksMs) {
        const sample = values[at] ?? NaN;
        at += 1;
        if (Number.isNaN(sample)) continue;
        metric.indexes[rows] = metricIndex;
        host.indexes[rows] = hostIndex;
        labels.indexes[rows] = labelsIndex;
        tsMs[rows] = tickMs;
        value[rows] = sample;
        rows += 1;
      }
    }
  }
  return {
    rows,
    metric: metric.take(rows),
    host: host.take(rows),
    labels: labels.take(rows),
    tsMs: tsMs.subarray(0, rows),
    value: value.subarray(0, rows),
  };
}

/**
 * The events of batches as rows, at the nearest legal time; a gap stands where it began. Its body is as the host said it:
 * what comes again later is the same gap, and two that only overlap are not.
 */
export function makeEventRows(items: readonly Arrival[]): readonly EventRow[] {
  return items.flatMap(({ host, batch, receivedMs }) =>
    (batch.events ?? []).map((event) => {
      const { kind } = event;
      if (event.kind !== 'gap') {
        const body = JSON.stringify({ subject: event.subject });
        return { host, tsMs: clampTime(event.atMs, receivedMs), kind, body };
      }
      const { fromMs, toMs, dropped, reason, seq } = event;
      const body = JSON.stringify({ fromMs, toMs, dropped, reason, seq });
      return { host, tsMs: clampTime(fromMs, receivedMs), kind, body };
    }),
  );
}

/** The batches as rows for counting. */
export function makeBatchRows(items: readonly Arrival[]): readonly BatchRow[] {
  return items.map(({ host, batch, quarantined, receivedMs }) => ({
    host,
    epoch: batch.epoch,
    since: batch.since ?? batch.seq,
    seq: batch.seq,
    atMs: batch.ticksMs.at(-1) ?? receivedMs,
    ticksMs: batch.ticksMs,
    everyMs: batch.everyMs ?? 0,
    samples: countSamples(batch),
    quarantined,
    receivedMs,
  }));
}

function makeDictionary(rowsMax: number) {
  const known = new Map<string, number>();
  const indexes = new Uint32Array(rowsMax);
  return {
    indexes,
    indexOf(text: string): number {
      let index = known.get(text);
      if (index === undefined) {
        index = known.size;
        known.set(text, index);
      }
      return index;
    },
    take: (rows: number): Dictionary => ({ texts: [...known.keys()], indexes: indexes.subarray(0, rows) }),
  };
}
