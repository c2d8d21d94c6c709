import { FUTURE_MS_MAX, PAST_MS_MAX, type Batch, type HostEvent } from '@muster/proto/batch';
import { findMetric } from '@muster/proto/metric';

import type { QuarantineReason, QuarantineRow } from '../domain/samples.ts';

export type Judged = {
  /** What can stand among the others: ticks in time, values that their metrics can have, events with legal times. */
  readonly batch: Batch;
  /** How many samples are not part of it … */
  readonly quarantined: number;
  /** … and the first of them, at most as many as were asked for. */
  readonly rows: readonly QuarantineRow[];
};

/**
 * Parts what can be stored from what cannot. A tick far ahead would open a partition of its own, one that is older than
 * what is kept would be deleted at once; a value that its metric cannot have would spoil every mean. Events are few
 * and say what happened, so they stay, at the nearest legal time.
 */
export function judgeBatch(host: string, batch: Batch, nowMs: number, rowsMax: number): Judged {
  const rows: QuarantineRow[] = [];
  let quarantined = 0;
  const judged = batch.ticksMs.map((tickMs) => judgeTime(tickMs, nowMs));
  const columns = [...judged.keys()].filter((column) => judged[column] === null);
  const ticks = batch.ticksMs.length;
  const values = new Float64Array(batch.series.length * columns.length);
  for (const [row, [metric, labels]] of batch.series.entries()) {
    const { min, max } = findMetric(metric) ?? { min: -Number.MAX_VALUE, max: Number.MAX_VALUE };
    let place = row * columns.length;
    for (const [column, tickMs] of batch.ticksMs.entries()) {
      const value = batch.values[row * ticks + column] ?? NaN;
      const isSample = !Number.isNaN(value);
      const time = judged[column] ?? null;
      const reason: QuarantineReason | null = time ?? (isSample && (value < min || value > max) ? 'range' : null);
      if (isSample && reason !== null) {
        quarantined += 1;
        if (rows.length < rowsMax) rows.push({ host, metric, labels, tickMs, value, reason, receivedMs: nowMs });
      }
      if (time !== null) continue;
      values[place] = reason === null ? value : NaN;
      place += 1;
    }
  }
  const events = batch.events?.map((event) => clampEvent(event, nowMs)) ?? [];
  const ticksMs = columns.map((column) => batch.ticksMs[column] ?? 0);
  return { batch: { ...batch, ticksMs, values, events }, quarantined, rows };
}

function judgeTime(atMs: number, nowMs: number): 'future' | 'past' | null {
  if (atMs > nowMs + FUTURE_MS_MAX) return 'future';
  return atMs < nowMs - PAST_MS_MAX ? 'past' : null;
}

function clampEvent(event: HostEvent, nowMs: number): HostEvent {
  const clamp = (atMs: number): number => Math.min(Math.max(atMs, nowMs - PAST_MS_MAX), nowMs + FUTURE_MS_MAX);
  if (event.kind !== 'gap') return { ...event, atMs: clamp(event.atMs) };
  // Where it is stored. Its end is only told: as the host said it, so that a gap that comes again is the same one.
  return { ...event, fromMs: clamp(event.fromMs) };
}
