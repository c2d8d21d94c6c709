import { countSamples, type Batch, type Series } from '@muster/proto/batch';

import {
  WINDOW_MS,
  type ArrivalBlock,
  type BatchColumn,
  type Dictionary,
  type EventRow,
  type QuarantineRow,
} from '../domain/samples.ts';
import { clampTime } from './legal.ts';
import type { IsNew } from './novelty.ts';

/**
 * A batch as far as it is legal, the host whose token it came with, when it arrived, and what of it is set aside: how
 * much, and what is kept of that.
 */
export type Arrival = {
  readonly host: string;
  readonly batch: Batch;
  readonly quarantined: number;
  readonly rows: readonly QuarantineRow[];
  readonly receivedMs: number;
};

/**
 * Turns batches into one block of columns, in their order. A series without a sample in a window is left out there. `isNew`
 * is asked once of each, in their order.
 */
export function makeArrivalBlock(items: readonly Omit<Arrival, 'rows'>[], isNew: IsNew = () => false): ArrivalBlock {
  return makeBlock(
    items.flatMap((arrival) => {
      const isLater = isNew(arrival.host, arrival.batch.ticksMs);
      return splitTicks(arrival).map((ticks) => ({ arrival, ticks, isLater }));
    }),
  );
}

/** Turns batches of the past into such a block, each a row, from a whole second on. */
export function makeHistoryBlock(items: readonly Omit<Arrival, 'rows'>[]): ArrivalBlock {
  return makeBlock(
    items.map((arrival) => {
      const { ticksMs } = arrival.batch;
      const startMs = Math.floor((ticksMs[0] ?? 0) / 1000) * 1000;
      return { arrival, ticks: { startMs, first: 0, count: ticksMs.length }, isLater: false };
    }),
  );
}

function makeBlock(parts: readonly Part[]): ArrivalBlock {
  const seriesMax = parts.reduce((sum, { arrival }) => sum + arrival.batch.series.length, 0);
  const host = makeDictionary(parts.length);
  const metric = makeDictionary(seriesMax);
  const labels = makeDictionary(seriesMax);
  const about = makeAbout(parts);
  const startS = new Uint32Array(parts.length);
  const tickEnds = new Float64Array(parts.length);
  const seriesEnds = new Float64Array(parts.length);
  const offsetsMs = new Uint32Array(parts.reduce((sum, { ticks }) => sum + ticks.count, 0));
  const innerEnds = new Float64Array(seriesMax);
  const values = new Float64Array(
    parts.reduce((sum, { arrival, ticks }) => sum + arrival.batch.series.length * ticks.count, 0),
  );
  const at = { tick: 0, series: 0, value: 0, samples: 0 };
  // Hosts that are alike have the same series in the same places (bases.ts): texts are looked up where they differ.
  const before: { series: Series | undefined; metric: number; labels: number }[] = [];
  // By index, for this sees every sample: an iterator makes an object of each.
  for (let row = 0; row < parts.length; row += 1) {
    const { arrival, ticks } = parts[row] as Part;
    const { batch } = arrival;
    host.indexes[row] = host.indexOf(arrival.host);
    startS[row] = ticks.startMs / 1000;
    for (let i = 0; i < ticks.count; i += 1) {
      offsetsMs[at.tick++] = (batch.ticksMs[ticks.first + i] ?? NaN) - ticks.startMs;
    }
    for (let series = 0; series < batch.series.length; series += 1) {
      const from = series * batch.ticksMs.length + ticks.first;
      const samples = copySamples({ values: batch.values, from, count: ticks.count }, values, at.value);
      if (samples === 0) continue;
      at.samples += samples;
      const one = batch.series[series] as Series;
      const place = (before[series] ??= { series: undefined, metric: 0, labels: 0 });
      if (place.series !== one) {
        place.series = one;
        place.metric = metric.indexOf(one[0]);
        place.labels = labels.indexOf(one[1]);
      }
      metric.indexes[at.series] = place.metric;
      labels.indexes[at.series] = place.labels;
      innerEnds[at.series++] = at.value += ticks.count;
    }
    tickEnds[row] = at.tick;
    seriesEnds[row] = at.series;
  }
  return {
    rows: parts.length,
    samples: at.samples,
    host: host.take(parts.length),
    about,
    startS,
    offsetsMs: { ends: tickEnds, values: offsetsMs },
    metrics: { ends: seriesEnds, values: metric.take(at.series) },
    labels: { ends: seriesEnds, values: labels.take(at.series) },
    values: {
      ends: seriesEnds,
      innerEnds: innerEnds.subarray(0, at.series),
      values: values.subarray(0, at.value),
    },
  };
}

type Span = { readonly values: Float64Array; readonly from: number; readonly count: number };

/** Copies values, and says how many of them are samples. */
function copySamples({ values, from, count }: Span, to: Float64Array, at: number): number {
  let samples = 0;
  for (let i = 0; i < count; i += 1) {
    const value = values[from + i] ?? NaN;
    to[at + i] = value;
    if (!Number.isNaN(value)) samples += 1;
  }
  return samples;
}

/** Ticks that follow one another in a batch, of one window unless they are of the past. */
type Ticks = { readonly startMs: number; readonly first: number; readonly count: number };
type Part = { readonly arrival: Omit<Arrival, 'rows'>; readonly ticks: Ticks; readonly isLater: boolean };

function splitTicks({ batch: { ticksMs }, receivedMs }: Omit<Arrival, 'rows'>): readonly Ticks[] {
  if (ticksMs.length === 0) return [{ startMs: Math.floor(receivedMs / WINDOW_MS) * WINDOW_MS, first: 0, count: 0 }];
  const starts = ticksMs.map((tickMs) => Math.floor(tickMs / WINDOW_MS) * WINDOW_MS);
  const firsts = starts.flatMap((startMs, i) => (startMs === starts[i - 1] ? [] : i));
  return firsts.map((first, i) => ({
    startMs: starts[first] ?? 0,
    first,
    count: (firsts[i + 1] ?? ticksMs.length) - first,
  }));
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

function makeAbout(parts: readonly Part[]): ArrivalBlock['about'] {
  const column = (pick: (arrival: Part['arrival']) => number): Float64Array =>
    Float64Array.from(parts, ({ arrival }) => pick(arrival));
  return {
    epoch: column(({ batch }) => batch.epoch),
    since: column(({ batch }) => batch.since ?? batch.seq),
    seq: column(({ batch }) => batch.seq),
    atMs: column(({ batch, receivedMs }) => batch.ticksMs.at(-1) ?? receivedMs),
    everyMs: column(({ batch }) => batch.everyMs ?? 0),
    samples: column(({ batch }) => countSamples(batch)),
    quarantined: column(({ quarantined }) => quarantined),
    receivedMs: column(({ receivedMs }) => receivedMs),
    isNew: Float64Array.from(parts, ({ isLater }) => Number(isLater)),
  } satisfies Record<BatchColumn, Float64Array>;
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
