import { DESCRIPTIONS_MAX, type MetricDescription } from '@muster/proto/custom';
import { SERIES_MAX, TICKS_MAX, type Batch, type Series } from '@muster/proto/batch';

import type { Tick } from './sampler.ts';
import type { Sample } from './source.ts';

/** The samples of a batch: `values` has the shape [series, ticks], NaN where a series had no sample. */
export type Matrix = Pick<Batch, 'ticksMs' | 'series' | 'described' | 'values'>;
type Shape = Omit<Matrix, 'values'>;

/**
 * Ticks, which must rise, as one matrix, or as several in the order of time when one would be more than a batch may
 * hold (TICKS_MAX, SERIES_MAX) or than `bytesMax` bytes on the wire before compression. No ticks give no matrix.
 */
export function toMatrices(ticks: readonly Tick[], bytesMax: number): Matrix[] {
  if (ticks.length === 0) return [];
  const rows = findRows(ticks);
  const series = [...rows.values()].map(({ series: one }) => one);
  const described = findDescribed(ticks);
  const ticksMs = ticks.map(({ tsMs }) => tsMs);
  const shape: Shape = { ticksMs, series, ...(described.length === 0 ? {} : { described }) };
  const isNarrow = series.length <= SERIES_MAX && described.length <= DESCRIPTIONS_MAX;
  const fits = ticks.length <= TICKS_MAX && isNarrow && countBytes(shape) <= bytesMax;
  if (fits || ticks.length * series.length <= 1) return [{ ...shape, values: fillValues(ticks, rows) }];
  return halve(ticks).flatMap((half) => toMatrices(half, bytesMax));
}

/** An upper bound of what a matrix takes in a message: 8 bytes a sample, 9 a tick, at most 13 around two strings or three. */
export function countBytes({ ticksMs, series, described = [] }: Shape): number {
  const tickCount = ticksMs.length;
  let bytes = 9 * tickCount;
  for (const [metric, kind, unit] of described) bytes += 13 + metric.length + kind.length + unit.length;
  for (const [metric, labels] of series) bytes += 13 + metric.length + Buffer.byteLength(labels) + 8 * tickCount;
  return bytes;
}

type Rows = ReadonlyMap<string, { readonly row: number; readonly series: Series }>;

/** Every series of the ticks, in the order in which they first appear. */
function findRows(ticks: readonly Tick[]): Rows {
  const rows = new Map<string, { readonly row: number; readonly series: Series }>();
  for (const sample of ticks.flatMap(({ samples }) => samples)) {
    const key = keyOf(sample);
    if (!rows.has(key)) rows.set(key, { row: rows.size, series: [sample.metric, sample.labels] });
  }
  return rows;
}

/** What is said of metrics that are not ours, each once. */
function findDescribed(ticks: readonly Tick[]): readonly MetricDescription[] {
  const described = new Map<string, MetricDescription>();
  for (const { samples } of ticks) {
    for (const { metric, about } of samples) {
      if (about !== undefined && !described.has(metric)) described.set(metric, [metric, about.kind, about.unit]);
    }
  }
  return [...described.values()];
}

function fillValues(ticks: readonly Tick[], rows: Rows): Float64Array {
  const values = new Float64Array(rows.size * ticks.length).fill(Number.NaN);
  for (const [column, { samples }] of ticks.entries()) {
    for (const sample of samples) {
      const row = rows.get(keyOf(sample))?.row ?? 0; // findRows has seen every sample
      values[row * ticks.length + column] = sample.value;
    }
  }
  return values;
}

function keyOf({ metric, labels }: Sample): string {
  return `${metric} ${labels}`;
}

/** Splits by time; a single tick that is too large by itself is split by series. */
function halve(ticks: readonly Tick[]): readonly (readonly Tick[])[] {
  const [only] = ticks;
  return ticks.length === 1 && only !== undefined
    ? cut(only.samples).map((samples) => [{ ...only, samples }])
    : cut(ticks);
}

function cut<T>(list: readonly T[]): readonly (readonly T[])[] {
  const middle = Math.ceil(list.length / 2);
  return [list.slice(0, middle), list.slice(middle)];
}
