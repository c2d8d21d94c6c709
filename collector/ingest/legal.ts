import { FUTURE_MS_MAX, PAST_MS_MAX, type Batch, type Series } from '@muster/proto/batch';
import { findMetric } from '@muster/proto/metric';

import type { QuarantineReason, QuarantineRow } from '../domain/samples.ts';

export type Judged = {
  /** What can stand among the others: ticks in time, values that their metrics can have. Events as they came. */
  readonly batch: Batch;
  /** How many samples are not part of it … */
  readonly quarantined: number;
  /** … and the first of them, at most as many as were asked for. */
  readonly rows: readonly QuarantineRow[];
};

/** When a batch arrived, and how old a sample may be then: as old as samples are kept. */
export type Times = { readonly nowMs: number; readonly pastMsMax: number };

/**
 * Parts what can be stored from what cannot. A tick far ahead would open a partition of its own, one that is older than
 * what is kept would be deleted at once; a value that its metric cannot have would spoil every mean.
 */
export function judgeBatch(host: string, batch: Batch, times: Times, rowsMax: number): Judged {
  if (isLegal(batch, times)) return { batch, quarantined: 0, rows: [] };
  const rows: QuarantineRow[] = [];
  let quarantined = 0;
  const judged = batch.ticksMs.map((tickMs) => judgeTime(tickMs, times));
  const columns = [...judged.keys()].filter((column) => judged[column] === null);
  const ticks = batch.ticksMs.length;
  const values = new Float64Array(batch.series.length * columns.length);
  for (const [row, [metric, labels]] of batch.series.entries()) {
    const { min, max } = findMetric(metric) ?? ANY;
    let place = row * columns.length;
    for (const [column, tickMs] of batch.ticksMs.entries()) {
      const value = batch.values[row * ticks + column] ?? NaN;
      const isSample = !Number.isNaN(value);
      const time = judged[column] ?? null;
      const reason: QuarantineReason | null = time ?? (isSample && (value < min || value > max) ? 'range' : null);
      if (isSample && reason !== null) {
        quarantined += 1;
        if (rows.length < rowsMax) rows.push({ host, metric, labels, tickMs, value, reason, receivedMs: times.nowMs });
      }
      if (time !== null) continue;
      values[place] = reason === null ? value : NaN;
      place += 1;
    }
  }
  const ticksMs = columns.map((column) => batch.ticksMs[column] ?? 0);
  return { batch: { ...batch, ticksMs, values }, quarantined, rows };
}

const ANY: Range = { min: -Number.MAX_VALUE, max: Number.MAX_VALUE };

/** Almost always. By index, for this sees every sample: an iterator makes an object of each. */
function isLegal({ ticksMs, series, values }: Batch, times: Times): boolean {
  if (ticksMs.some((tickMs) => judgeTime(tickMs, times) !== null)) return false;
  const ranges = findRanges(series);
  let at = 0;
  for (let row = 0; row < ranges.length; row += 1) {
    const { min, max } = ranges[row] ?? ANY;
    for (const end = at + ticksMs.length; at < end; at += 1) {
      const value = values[at] ?? NaN;
      if (value < min || value > max) return false;
    }
  }
  return true;
}

type Range = { readonly min: number; readonly max: number };

/** Of lists of series: a host names the same one with every batch, as a rule. */
const rangesOf = new WeakMap<readonly Series[], readonly Range[]>();

function findRanges(series: readonly Series[]): readonly Range[] {
  let ranges = rangesOf.get(series);
  if (ranges === undefined) {
    ranges = series.map(([metric]) => findMetric(metric) ?? ANY);
    rangesOf.set(series, ranges);
  }
  return ranges;
}

function judgeTime(atMs: number, { nowMs, pastMsMax }: Times): 'future' | 'past' | null {
  if (atMs > nowMs + FUTURE_MS_MAX) return 'future';
  return atMs < nowMs - pastMsMax ? 'past' : null;
}

/** The nearest legal time: that of an event, since events are few and say what happened. */
export function clampTime(atMs: number, nowMs: number): number {
  return Math.min(Math.max(atMs, nowMs - PAST_MS_MAX), nowMs + FUTURE_MS_MAX);
}
