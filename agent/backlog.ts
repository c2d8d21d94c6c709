import { EVENTS_MAX, type Batch, type HostEvent, type Inventory } from '@muster/proto/batch';
import { BODY_BYTES_MAX } from '@muster/proto/push';

import { countBytes, countSamples, toMatrices, type Matrix } from './matrix.ts';
import type { Tick } from './sampler.ts';

/** What waits for the collector at most: of 100 series 19 hours at one tick a second, or four days at the default. */
export const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;
/** A batch travels even if it cannot be compressed at all; the rest is for events and the inventory. */
export const BATCH_BYTES_MAX = BODY_BYTES_MAX - 64 * 1024;
/** A minute at one tick a second. In a batch a sample takes its eight bytes, in a tick several times as many. */
const OPEN_TICKS_MAX = 60;

/** A batch as it waits; `sentMs` is known only when it goes out. */
export type WaitingBatch = Omit<Batch, 'sentMs'>;

/**
 * What was sampled and is not in the store yet. A batch that was handed out never changes, so that it can be sent
 * again under its `seq`; it counts until it is settled, discarded or postponed.
 */
export type Backlog = {
  readonly add: (tick: Tick) => void;
  readonly note: (event: HostEvent) => void;
  readonly describe: (info: Inventory) => void;
  /** Hands out the newest batch that was never handed out, with all that was noted and described since the last one. */
  readonly takeNewest: () => WaitingBatch | null;
  /** Hands out the batch that waits longest; those that were postponed come last. */
  readonly takeOldest: () => WaitingBatch | null;
  /** The batch is in the store. What was kept of those refused before follows, by itself. */
  readonly settle: (batch: WaitingBatch) => void;
  /**
   * The batch was refused for good. Its samples become a gap, which is kept with its events and its inventory until
   * another batch is settled. They then travel without samples: refused even so, they are the reason, and are dropped.
   */
  readonly discard: (batch: WaitingBatch) => void;
  readonly postpone: (batch: WaitingBatch) => void;
  /** Samples that are not in the store yet. */
  readonly countWaiting: () => number;
};

export type BacklogOptions = { readonly epoch: number; readonly bytesMax: number };

type News = Pick<Batch, 'events' | 'info'>;
const NO_NEWS: News = {};

/** A backlog in memory, so that it ends with the process. Over its limit it gives up the oldest samples, as a gap. */
export function openBacklog({ epoch, bytesMax }: BacklogOptions): Backlog {
  const waiting: WaitingBatch[] = []; // never handed out, oldest first
  const postponed: WaitingBatch[] = [];
  let open: Tick[] = [];
  let news = NO_NEWS;
  let refused = NO_NEWS;
  let seq = 0;
  let bytes = 0;
  let samples = 0;

  function makeBatch(matrix: Matrix): WaitingBatch {
    seq += 1;
    bytes += countBytes(matrix);
    samples += countSamples(matrix);
    return { epoch, seq, ...matrix };
  }

  function forget(batch: WaitingBatch): void {
    bytes -= countBytes(batch);
    samples -= countSamples(batch);
  }

  /** Turns the open ticks into waiting batches, and makes room for them. */
  function seal(): void {
    waiting.push(...toMatrices(open, BATCH_BYTES_MAX).map(makeBatch));
    open = [];
    while (bytes > bytesMax) {
      const oldest = postponed.shift() ?? waiting.shift();
      if (oldest === undefined) return; // all that is left is on its way
      forget(oldest);
      news = joinNews(newsOf(oldest), news);
    }
  }

  return {
    add: (tick) => {
      // Ticks rise within a batch; a clock that was set back begins another one.
      if (open.length >= OPEN_TICKS_MAX || tick.tsMs <= (open.at(-1)?.tsMs ?? -1)) seal();
      open.push(tick);
    },
    note: (event) => {
      news = joinNews(news, { events: [event] });
    },
    describe: (info) => {
      news = { ...news, info };
    },
    takeNewest: () => {
      seal();
      const newest = waiting.pop() ?? (news === NO_NEWS ? null : makeBatch(EMPTY));
      if (newest === null) return null;
      const batch = { ...newest, ...news };
      news = NO_NEWS;
      return batch;
    },
    takeOldest: () => waiting.shift() ?? postponed.shift() ?? null,
    settle: (batch) => {
      forget(batch);
      if (refused !== NO_NEWS) postponed.push({ ...makeBatch(EMPTY), ...refused });
      refused = NO_NEWS;
    },
    discard: (batch) => {
      forget(batch);
      if (batch.ticksMs.length > 0) refused = joinNews(refused, newsOf(batch));
    },
    postpone: (batch) => postponed.push(batch),
    countWaiting: () => samples + open.reduce((count, tick) => count + tick.samples.length, 0),
  };
}

const EMPTY: Matrix = { ticksMs: [], series: [], values: new Float64Array(0) };

/** What a batch that will not arrive leaves to be told. */
function newsOf(batch: WaitingBatch): News {
  const dropped = countSamples(batch);
  if (dropped === 0) return joinNews(batch, NO_NEWS);
  const { ticksMs } = batch;
  return joinNews(batch, {
    events: [{ kind: 'gap', fromMs: Math.min(...ticksMs), toMs: Math.max(...ticksMs), dropped }],
  });
}

function joinNews(older: News, newer: News): News {
  const events = joinEvents([...(older.events ?? []), ...(newer.events ?? [])]);
  const info = newer.info ?? older.info;
  if (events.length === 0 && info === undefined) return NO_NEWS;
  return { ...(events.length === 0 ? {} : { events }), ...(info === undefined ? {} : { info }) };
}

/** All gaps as one, behind the other events; the oldest fall out when there are more than a batch may carry. */
function joinEvents(events: readonly HostEvent[]): readonly HostEvent[] {
  const gaps = events.filter((event) => event.kind === 'gap');
  const others = events.filter((event) => event.kind !== 'gap').slice(1 - EVENTS_MAX);
  if (gaps.length === 0) return others;
  const gap: HostEvent = {
    kind: 'gap',
    fromMs: Math.min(...gaps.map(({ fromMs }) => fromMs)),
    toMs: Math.max(...gaps.map(({ toMs }) => toMs)),
    dropped: gaps.reduce((sum, { dropped }) => sum + dropped, 0),
  };
  return [...others, gap];
}
