import { decodeBatch, type Batch } from '@muster/proto/batch';
import type { MetricDescription } from '@muster/proto/custom';
import type { Ack } from '@muster/proto/push';
import { err, ok, type Result } from '@muster/proto/result';

import { HISTORY_DAYS_MAX, WINDOW_MS } from '../domain/samples.ts';
import type { Buffer } from './buffer.ts';
import type { Arrival } from './columns.ts';
import { describeFault, type IngestFault } from './ingest.ts';
import { judgeBatch } from './legal.ts';

const DAY_MS = 86_400_000;

export type HistoryOptions = {
  readonly buffer: Buffer<Arrival>;
  /** How old history may be: as old as the longest of the rollups is kept. */
  readonly pastMsMax: number;
  readonly learnMetrics: (host: string, described: readonly MetricDescription[]) => Promise<void>;
  /** What is known to be wrong with the store. */
  readonly fault: () => string | null;
  readonly now: () => number;
};

/**
 * Takes what was of a host before its first sample, from bytes that hold a batch of the wire: for the rollups alone, so one
 * tick in five minutes at most. All of it, or nothing. Told again it changes nothing. An hour and a day are computed of what one batch has of them.
 */
export async function acceptHistory(
  { buffer, pastMsMax, learnMetrics, fault, now }: HistoryOptions,
  host: string,
  body: Uint8Array,
): Promise<Result<Ack, IngestFault>> {
  const decoded = decodeBatch(body);
  if (!decoded.ok) return refuse(`Cannot read the history: ${decoded.error}`);
  const batch = decoded.value;
  const nowMs = now();
  const complaint = findComplaint(host, batch, { nowMs, pastMsMax });
  if (complaint !== null) return refuse(`Cannot take the history: ${complaint}`);
  if (batch.described !== undefined) await learnMetrics(host, batch.described);
  if (batch.values.length > 0 || (batch.events ?? []).length > 0) {
    const stored = await buffer.add({ host, batch, quarantined: 0, rows: [], receivedMs: nowMs });
    if (!stored.ok) return err(describeFault(stored.error, fault()));
  }
  return ok({ ack: batch.seq });
}

function refuse(message: string): Result<never, IngestFault> {
  return err({ kind: 'malformed', message });
}

function findComplaint(
  host: string,
  batch: Batch,
  times: { readonly nowMs: number; readonly pastMsMax: number },
): string | null {
  const { ticksMs } = batch;
  for (const [i, tickMs] of ticksMs.entries()) {
    const before = ticksMs[i - 1];
    if (before !== undefined && Math.floor(before / WINDOW_MS) === Math.floor(tickMs / WINDOW_MS))
      return `the ticks ${before} and ${tickMs} are of the same five minutes, of which one is taken; push what is finer as samples`;
  }
  if ((ticksMs.at(-1) ?? 0) - (ticksMs[0] ?? 0) > HISTORY_DAYS_MAX * DAY_MS)
    return `its ticks span more than ${HISTORY_DAYS_MAX} days; tell it in several batches`;
  const { quarantined, rows } = judgeBatch(host, batch, times, 1);
  const [row] = rows;
  if (row === undefined) return null;
  const { metric, labels, tickMs, value, reason } = row;
  const which = `${metric}{${labels}} at ${new Date(tickMs).toISOString()}`;
  const more = quarantined === 1 ? '' : `, and ${quarantined - 1} more`;
  if (reason === 'range') return `${which} cannot be ${value}${more}`;
  return `${which} lies too far in the ${reason}${more}; what is older than ${Math.round(times.pastMsMax / DAY_MS)} days is kept nowhere`;
}
