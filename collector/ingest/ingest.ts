import type { LatestValue } from '@muster/proto/api';
import { decodeBatch, FUTURE_MS_MAX, PAST_MS_MAX, type Batch, type HostEvent } from '@muster/proto/batch';
import { findMetric } from '@muster/proto/metric';
import type { Ack } from '@muster/proto/push';
import { err, ok, type Result } from '@muster/proto/result';

import type { Buffer } from './buffer.ts';
import type { HostBatch } from './columns.ts';
import type { Latest } from './latest.ts';

export type IngestFault =
  | { readonly kind: 'malformed'; readonly message: string }
  | { readonly kind: 'quarantined' }
  | { readonly kind: 'busy'; readonly message: string };

/** Whose batch it is: the host, and the hash of the token that it came with. */
export type Sender = { readonly host: string; readonly token: string };

export type IngestOptions = {
  /** Whether a batch of this token and this start of an agent may be taken: not once two machines use one token. */
  readonly admitRun: (token: string, run: number | undefined) => Promise<boolean>;
  readonly latest: Latest;
  readonly buffer: Buffer<HostBatch>;
  /** Newer values of a host are known; called before they are stored. */
  readonly onValues: (host: string, values: readonly LatestValue[]) => void;
  /** A host has said what it is; `latest` has it. */
  readonly onInventory: (host: string) => void;
  /** The interval to ask of a host, undefined for its own. */
  readonly everyMs: (host: string) => number | undefined;
  /** How many samples and events of a batch were left out, and how far the host's clock is ahead. */
  readonly onRefused: (host: string, refused: number, clockOffsetMs: number) => void;
  readonly now: () => number;
};

/**
 * Takes the batch of one host: checks it, shows it, stores it. `body` is inflated and of any origin.
 *
 * Resolves when the batch is in the store, or with the reason why it is not; a malformed batch will never be, a busy
 * store will take it later, and a quarantined host sends in vain until it has enrolled anew.
 */
export async function acceptBatch(
  options: IngestOptions,
  { host, token }: Sender,
  body: Uint8Array,
): Promise<Result<Ack, IngestFault>> {
  const decoded = decodeBatch(body);
  if (!decoded.ok) return err({ kind: 'malformed', message: `Cannot read the batch: ${decoded.error}` });
  if (!(await options.admitRun(token, decoded.value.run))) return err({ kind: 'quarantined' });
  const nowMs = options.now();
  const { batch, refused } = keepLegal(decoded.value, nowMs);
  options.onRefused(host, refused, batch.sentMs - nowMs);
  const values = options.latest.apply(host, batch, nowMs);
  if (batch.info !== undefined) options.onInventory(host);
  if (values.length > 0) options.onValues(host, values);
  const stored = await options.buffer.add({ host, batch });
  if (!stored.ok) return err({ kind: 'busy', message: BUSY[stored.error] });
  const everyMs = options.everyMs(host);
  return ok(everyMs === undefined ? { ack: batch.seq } : { ack: batch.seq, everyMs });
}

const BUSY = {
  full: 'Cannot take the batch: too much waits for the store; send it again later',
  failed: 'Cannot store the batch: the database did not take it; send it again later',
  closed: 'Cannot take the batch: the collector is stopping; send it again later',
} as const;

/**
 * Leaves out what cannot be stored: ticks and events out of time, values that the metric cannot have. `refused` counts
 * samples and events.
 */
function keepLegal(batch: Batch, nowMs: number): { batch: Batch; refused: number } {
  const columns = [...batch.ticksMs.keys()].filter((column) => isInTime(batch.ticksMs[column] ?? 0, nowMs));
  const events = (batch.events ?? []).filter((event) => timesOf(event).every((atMs) => isInTime(atMs, nowMs)));
  const ticks = batch.ticksMs.length;
  const values = new Float64Array(batch.series.length * columns.length);
  let refused = (ticks - columns.length) * batch.series.length + (batch.events ?? []).length - events.length;
  for (const [row, [metric]] of batch.series.entries()) {
    const { min, max } = findMetric(metric) ?? { min: -Number.MAX_VALUE, max: Number.MAX_VALUE };
    for (const [place, column] of columns.entries()) {
      const value = batch.values[row * ticks + column] ?? NaN;
      const isLegal = Number.isNaN(value) || (value >= min && value <= max);
      if (!isLegal) refused += 1;
      values[row * columns.length + place] = isLegal ? value : NaN;
    }
  }
  if (refused === 0) return { batch, refused };
  return { batch: { ...batch, ticksMs: columns.map((column) => batch.ticksMs[column] ?? 0), values, events }, refused };
}

function timesOf(event: HostEvent): readonly number[] {
  return event.kind === 'gap' ? [event.fromMs, event.toMs] : [event.atMs];
}

function isInTime(atMs: number, nowMs: number): boolean {
  return atMs <= nowMs + FUTURE_MS_MAX && atMs >= nowMs - PAST_MS_MAX;
}
