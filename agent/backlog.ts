import { EVENTS_MAX, type Batch, type HostEvent, type Inventory } from '@muster/proto/batch';
import { BODY_BYTES_MAX } from '@muster/proto/push';

import { countBytes, countSamples, toMatrices, type Matrix } from './matrix.ts';
import type { Tick } from './sampler.ts';

/**
 * What waits for the collector at most: at 100 series a day at one tick a second, or five at the default. With its
 * bookkeeping a sample takes about its 8 bytes, so that the agent stays below 100 MB during the longest outage.
 */
export const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;
/** A minute at one tick a second: ticks take less room in a batch than one by one. */
const OPEN_TICKS_MAX = 60;
/** A batch travels even if it cannot be compressed at all; the rest is for events and the inventory. */
export const BATCH_BYTES_MAX = BODY_BYTES_MAX - 64 * 1024;

/** A batch as it waits; `sentMs` is known only when it goes out. */
export type WaitingBatch = Omit<Batch, 'sentMs'>;

export type BacklogOptions = { readonly epoch: number; readonly bytesMax: number };

/**
 * What was sampled and is not in the store yet. A batch that was handed out never changes any more, so that it can be
 * sent again under its `seq`, and it stays until it is settled, discarded or postponed.
 */
export type Backlog = {
  readonly add: (tick: Tick) => void;
  /** Events travel with the next batch that is taken by `takeNewest`. */
  readonly note: (event: HostEvent) => void;
  readonly describe: (info: Inventory) => void;
  /** Hands out what came in since the last call, or what is left of it when that is more than one batch. */
  readonly takeNewest: () => WaitingBatch | null;
  /** Hands out the batch that waits longest. */
  readonly takeOldest: () => WaitingBatch | null;
  /** The batch is in the store. */
  readonly settle: (batch: WaitingBatch) => void;
  /** The batch will never be in the store: its samples become a gap. */
  readonly discard: (batch: WaitingBatch) => void;
  /** The batch goes behind all others. */
  readonly postpone: (batch: WaitingBatch) => void;
  /** Samples that are not in the store yet, and how many were given up so far. */
  readonly count: () => { readonly waiting: number; readonly dropped: number };
};

/** A backlog in memory: it does not outlive the process. */
export function openBacklog({ epoch, bytesMax }: BacklogOptions): Backlog {
  const waiting: WaitingBatch[] = [];
  const handedOut = new Set<WaitingBatch>();
  let open: Tick[] = [];
  let events: HostEvent[] = [];
  let info: Inventory | null = null;
  let seq = 0;
  let bytes = 0;
  let dropped = 0;

  function makeBatch(matrix: Matrix): WaitingBatch {
    bytes += bytesOf(matrix);
    seq += 1;
    return { epoch, seq, ...matrix };
  }

  /** Turns the open ticks into batches that wait. */
  function seal(): void {
    if (open.length > 0) waiting.push(...toMatrices(open, BATCH_BYTES_MAX).map(makeBatch));
    open = [];
    while (bytes > bytesMax) {
      const oldest = waiting.shift();
      if (oldest === undefined) return; // all else is on its way
      forget(oldest);
      giveUp(oldest);
      events = [...(oldest.events ?? []), ...events].slice(-EVENTS_MAX);
      info ??= oldest.info ?? null;
    }
  }

  function handOut(batch: WaitingBatch): WaitingBatch {
    handedOut.add(batch);
    return batch;
  }

  function forget(batch: WaitingBatch): void {
    handedOut.delete(batch);
    bytes -= bytesOf(batch);
  }

  /** Counts the samples of a batch as lost, in the gap event that has not been sent yet or in a new one. */
  function giveUp(batch: WaitingBatch): void {
    const count = countSamples(batch);
    const fromMs = batch.ticksMs[0];
    const toMs = batch.ticksMs.at(-1);
    if (count === 0 || fromMs === undefined || toMs === undefined) return;
    dropped += count;
    const gap = { kind: 'gap', fromMs, toMs, dropped: count } as const;
    const known = events.findIndex(({ kind }) => kind === 'gap');
    …
  }
