import type { Inventory } from '@muster/proto/batch';
import { isCount } from '@muster/proto/check-value';
import { TEXT_LENGTH_MAX, type Gap, type HostEvent } from '@muster/proto/event';
import { describeError, type Log } from '@muster/proto/log';

import { toMatrices } from '../matrix.ts';
import type { Tick } from '../sampler.ts';
import { chooseFirst, chooseLast, chooseOld, chooseOldestFiles, chooseSurplus } from './choose.ts';
import { openSpoolFiles, type SpoolFiles } from './files.ts';
import { startHead } from './head.ts';
import { BATCH_BYTES_MAX, joinBatches } from './join.ts';
import { joinNews, NO_NEWS, type News } from './news.ts';
import { recover, type Recovery } from './recover.ts';
import { openShelf, type Beginning, type Entry, type Shelf, type WaitingBatch } from './shelf.ts';

/** What waits on the disk at most. A host of 100 series fills it in five days at the default interval. */
export const SPOOL_BYTES_MAX = 256 * 1024 * 1024;
/** How long a sample waits at most, and an hour more at most (AGE_PATIENCE_MS). */
export const SPOOL_AGE_MS_MAX = 24 * 3_600_000;
/**
 * For so long the clock must say that samples are too old before they are given up: a clock that is wrong, after a start
 * without a battery or by somebody's hand, is set right within that. The time synchronisation of systemd asks every 34
 * minutes at least. Measured in ticks, each for its interval: they come whatever the clock says.
 */
const AGE_PATIENCE_MS = 3_600_000;
/** What waits in memory at most while the disk takes nothing. Compressed: of 100 series some hours. */
export const MEMORY_BYTES_MAX = 16 * 1024 * 1024;
/** A minute at one tick a second. In a batch a sample takes its eight bytes, in a tick several times as many. */
const OPEN_TICKS_MAX = 60;
/** Room for what a write may add besides what waits in memory already, so that the limit holds after it. */
const HEADROOM_BYTES = 4 * 1024 * 1024;

/** What is handed out to be sent: one record of the spool, or several that follow one another as one batch. */
export type Parcel = { readonly batch: WaitingBatch; readonly entries: readonly Entry[] };

/**
 * What was sampled and is not in the store yet: on the disk from the last `flush` on, whatever happens to the process.
 * Each parcel that was handed out is given back in one of four ways.
 */
export type Spool = {
  readonly add: (tick: Tick) => void;
  readonly note: (event: HostEvent) => void;
  readonly describe: (info: Inventory) => void;
  /** Writes what came since the last time. False: the disk did not take all of it, and the rest waits in memory. */
  readonly flush: () => boolean;
  /** Flushes, and hands out the newest record that waits, with all that was noted and described. */
  readonly takeNewest: () => Parcel | null;
  /** Hands out the oldest records, as many as make one batch of about `ticksMax` ticks; those postponed come last. */
  readonly takeOldest: (ticksMax: number) => Parcel | null;
  /** It is in the store. */
  readonly settle: (parcel: Parcel) => void;
  /** It was not taken, and waits again in its place. */
  readonly release: (parcel: Parcel) => void;
  /** The collector failed on it: it comes after all others. */
  readonly postpone: (parcel: Parcel) => void;
  /**
   * It was refused for good: false. Its samples become a gap, which is told with its events and its inventory, without
   * samples, after another parcel is settled; refused even so, the gap goes alone, and is dropped when that is refused.
   * True: it was joined of several, which are to be tried one by one.
   */
  readonly refuse: (parcel: Parcel) => boolean;
  /** The first tick that waits, null when none does. */
  readonly waitingSinceMs: () => number | null;
  /** Samples that are not in the store yet. */
  readonly countWaiting: () => number;
  /** Writes everything, and that this was the end. False: the disk did not take all of it. */
  readonly close: () => boolean;
};

export type SpoolOptions = {
  readonly directory: string;
  readonly bytesMax: number;
  readonly memoryBytesMax: number;
  readonly ageMsMax: number;
  /** Names the spool where its files do not. */
  readonly epoch: number;
  readonly log: Log;
  readonly now: () => number;
};

type State = {
  readonly options: SpoolOptions;
  readonly files: SpoolFiles;
  readonly shelf: Shelf;
  readonly reportFault: (reason: string | null) => void;
  open: Tick[];
  news: News;
  /** What refused batches leave, until another one is settled. */
  refused: News;
  turns: number;
  /** The intervals of all ticks since there was last nothing too old. */
  overdueMs: number;
  /** The disk did not take the last write. */
  isFaulty: boolean;
};

/** Opens a spool from whatever is there. Over its limits it gives up the oldest samples, as a gap. Never throws. */
export function openSpool(options: SpoolOptions): Spool {
  const reportFault = makeFaultLog(options.log);
  const files = openSpoolFiles(options.directory, reportFault);
  const recovery = recover(files.readAll(), files.readHead());
  const gaps = [...recovery.lost.map(({ gap }) => gap), ...findKilled(recovery, options.now())];
  if (recovery.waiting.length > 0) options.log.info('spool.opened', { records: recovery.waiting.length });
  for (const { kind: _, ...gap } of gaps) options.log.error('spool.gap', gap);
  const shelf = openShelf(files, startFrom(recovery, options.epoch, options.now()));
  const news = joinNews(NO_NEWS, { events: gaps });
  const spool: State = {
    options,
    files,
    shelf,
    reportFault,
    open: [],
    news,
    refused: NO_NEWS,
    turns: 0,
    overdueMs: 0,
    isFaulty: false,
  };
  flush(spool, false); // from here on an end that was not in order shows
  return {
    add: (tick) => add(spool, tick),
    note: (event) => (spool.news = joinNews(spool.news, { events: [toLegal(event, options.now())] })),
    describe: (info) => (spool.news = joinNews(spool.news, { info })),
    flush: () => flush(spool, false),
    takeNewest: () => {
      flush(spool, false);
      return handOut(spool, () => chooseLast(shelf.entries));
    },
    takeOldest: (ticksMax) => handOut(spool, () => chooseFirst(findReady(spool), ticksMax)),
    settle: ({ entries }) => {
      shelf.settle(entries);
      tellRefused(spool);
    },
    release: (parcel) => putBack(parcel, 0),
    postpone: (parcel) => {
      const isJoined = parcel.entries.length > 1;
      if (isJoined) for (const entry of parcel.entries) entry.isAlone = true;
      else spool.turns += 1;
      putBack(parcel, isJoined ? 0 : spool.turns);
    },
    refuse: (parcel) => refuse(spool, parcel),
    waitingSinceMs: () => shelf.entries.find(({ header }) => header.fromMs > 0)?.header.fromMs ?? null,
    countWaiting: () =>
      shelf.entries.reduce((sum, { header }) => sum + header.samples, 0) +
      spool.open.reduce((sum, { samples }) => sum + samples.length, 0),
    close: () => {
      const isWritten = flush(spool, true);
      files.close();
      return isWritten;
    },
  };
}

/** Ticks of a record rise and are equally far apart; a clock that was set back, or another interval, begins another. */
function add(spool: State, tick: Tick): void {
  const last = spool.open.at(-1);
  const isNew = last !== undefined && (tick.tsMs <= last.tsMs || tick.everyMs !== last.everyMs);
  if (isNew || spool.open.length >= OPEN_TICKS_MAX) seal(spool);
  spool.open.push(tick);
  spool.overdueMs += tick.everyMs;
}

/** Turns the open ticks, and what is to be told, into records. */
function seal(spool: State): void {
  const everyMs = spool.open[0]?.everyMs;
  const matrices = toMatrices(spool.open, BATCH_BYTES_MAX);
  if (matrices.length === 0 && spool.news !== NO_NEWS) matrices.push(NO_SAMPLES);
  const last = matrices.at(-1);
  for (const matrix of matrices) {
    const news = matrix === last ? spool.news : NO_NEWS;
    spool.shelf.put({ ...(everyMs === undefined ? {} : { everyMs }), ...matrix, ...news });
  }
  if (last !== undefined) spool.news = NO_NEWS;
  spool.open = [];
}

const NO_SAMPLES = { ticksMs: [], series: [], values: new Float64Array(0) };

function flush(spool: State, isClosed: boolean): boolean {
  const { options, shelf, files } = spool;
  const old = chooseOld(shelf.entries, options.now() - options.ageMsMax);
  if (old.length === 0) spool.overdueMs = 0;
  if (spool.overdueMs >= AGE_PATIENCE_MS) giveUp(spool, old, 'age');
  const unwritten = shelf.unwritten().reduce((sum, { encoded }) => sum + (encoded?.byteLength ?? 0), 0);
  const excess = files.bytes() + unwritten + HEADROOM_BYTES - options.bytesMax;
  giveUp(spool, chooseOldestFiles(shelf.entries, excess), 'full');
  const isWritten = write(spool, isClosed);
  if (!isWritten) giveUp(spool, chooseSurplus(shelf.unwritten(), options.memoryBytesMax), 'full');
  return isWritten;
}

/** What tells of records that were given up goes to the disk with the news that they do not wait, never after it. */
function write(spool: State, isClosed: boolean): boolean {
  const { shelf, reportFault } = spool;
  seal(spool);
  try {
    if (shelf.write(isClosed) === 'written') reportFault(null);
  } catch (cause) {
    reportFault(describeError(cause));
  }
  spool.isFaulty = shelf.unwritten().length > 0;
  return !spool.isFaulty;
}

/**
 * Takes records off the shelf that will not arrive. What they told is told with the next one, their samples as a gap.
 * One that is on its way may arrive: it is given up when it waits again.
 */
function giveUp(spool: State, chosen: readonly Entry[], reason: string): void {
  if (chosen.some(({ state }) => state === 'refused')) tellRefused(spool);
  const entries = chosen.filter(({ state }) => state === 'waiting');
  if (entries.length === 0) return;
  const told = entries.reduce((news, entry) => {
    const batch = spool.shelf.read(entry);
    return batch.ok ? joinNews(news, batch.value) : news;
  }, NO_NEWS);
  spool.shelf.remove(entries);
  const gap = makeGap(entries, reason);
  if (gap !== null) spool.options.log.error('spool.gap', gap);
  spool.news = joinNews(joinNews(told, spool.news), gap === null ? NO_NEWS : { events: [gap] });
}

function makeGap(entries: readonly Entry[], reason: string): Gap | null {
  const headers = entries.map(({ header }) => header).filter(({ samples }) => samples > 0);
  if (headers.length === 0) return null;
  return {
    kind: 'gap',
    fromMs: Math.min(...headers.map(({ fromMs }) => fromMs)),
    toMs: Math.max(...headers.map(({ toMs }) => toMs)),
    dropped: headers.reduce((sum, { samples }) => sum + samples, 0),
    reason,
    seq: headers[0]?.seq ?? 0,
  };
}

/** Hands out what `take` chooses; what is damaged is given up, and the choice is made again. */
function handOut(spool: State, take: () => readonly Entry[]): Parcel | null {
  for (;;) {
    const entries = take();
    const [oldest] = entries;
    if (oldest === undefined) return null;
    const read = spool.shelf.read(oldest);
    if (read.ok) return join(spool, entries, read.value);
    if (read.error === 'unreadable') {
      spool.turns += 1;
      oldest.turn = spool.turns; // it comes last, and may be read then
      return null;
    }
    giveUp(spool, [oldest], 'damaged');
  }
}

/** The first of these, and as many of the others, up to one that cannot be read, as make one batch. */
function join(spool: State, entries: readonly Entry[], first: WaitingBatch): Parcel {
  const others: WaitingBatch[] = [];
  for (const entry of entries.slice(1)) {
    const read = spool.shelf.read(entry);
    if (!read.ok) break;
    others.push(read.value);
  }
  const { batch, count } = joinBatches([first, ...others]);
  const used = entries.slice(0, count);
  for (const entry of used) entry.state = 'out';
  return { batch, entries: used };
}

/** A record goes out when it is written, so that its number is never used again; or when it cannot be written. */
function findReady({ shelf, isFaulty }: State): readonly Entry[] {
  return isFaulty ? shelf.entries : shelf.entries.filter(({ place }) => place !== null);
}

function putBack({ entries }: Parcel, turn: number): void {
  for (const entry of entries) Object.assign(entry, { state: 'waiting', turn });
}

function refuse(spool: State, parcel: Parcel): boolean {
  const [entry, ...others] = parcel.entries;
  if (entry === undefined) return false;
  if (others.length > 0) {
    for (const one of parcel.entries) one.isAlone = true;
    putBack(parcel, 0);
    return true;
  }
  const left = leftOf(parcel, entry);
  spool.refused = joinNews(spool.refused, left);
  if (left !== NO_NEWS) entry.state = 'refused';
  else spool.shelf.remove([entry]);
  return false;
}

/** What a refused record leaves to be told: all of it, then its gaps only, then nothing; something in it is the reason. */
function leftOf({ batch }: Parcel, entry: Entry): News {
  const news = joinNews(NO_NEWS, batch);
  const gap = makeGap([entry], 'refused');
  if (gap !== null) return joinNews(news, { events: [gap] });
  const gaps = (news.events ?? []).filter(({ kind }) => kind === 'gap');
  return gaps.length === news.events?.length && news.info === undefined ? NO_NEWS : joinNews(NO_NEWS, { events: gaps });
}

/**
 * Tells what the refused ones have left: when another batch has arrived, so that it is not the collector who refuses
 * all; or when they are to make room.
 */
function tellRefused(spool: State): void {
  if (spool.refused === NO_NEWS) return;
  spool.turns += 1;
  spool.shelf.remove(spool.shelf.entries.filter(({ state }) => state === 'refused'));
  spool.shelf.put({ ...NO_SAMPLES, ...spool.refused }).turn = spool.turns;
  spool.refused = NO_NEWS;
  write(spool, false);
}

/**
 * What was not written when the process before this one was killed: the ticks since its last write, and those that
 * nobody has sampled since.
 */
function findKilled({ head }: Recovery, nowMs: number): readonly Gap[] {
  if (head === null || head.isClosed || head.everyMs === 0) return [];
  const fromMs = head.lastMs + head.everyMs;
  const toMs = nowMs - (nowMs % head.everyMs);
  return fromMs > toMs ? [] : [{ kind: 'gap', fromMs, toMs, dropped: 0, reason: 'killed' }];
}

/**
 * What happens from now on is counted from now on, to the millisecond: the first tick comes at any time, and the agent
 * may be killed before it is written.
 */
function startFrom({ head, ...recovery }: Recovery, epoch: number, nowMs: number): Beginning {
  const known = head ?? startHead(epoch);
  return { ...recovery, head: { ...known, lastMs: Math.max(known.lastMs, nowMs), everyMs: 1, isClosed: true } };
}

/** Says that the disk takes nothing, and that it does again; not with every write. */
function makeFaultLog(log: Log): (reason: string | null) => void {
  let isFaulty = false;
  return (reason) => {
    if (reason !== null && !isFaulty) log.error('spool.unwritable', { reason, next: UNWRITABLE });
    if (reason === null && isFaulty) log.info('spool.recovered');
    isFaulty = reason !== null;
  };
}

const UNWRITABLE =
  'samples wait in memory, and are lost if the agent ends before they are delivered; make room in the state directory, ' +
  'or make it writable';

/**
 * An event as a batch may hold it: one that is refused takes all samples beside it along. What it is about may have any
 * name, and when it was may be what others say.
 */
function toLegal(event: HostEvent, nowMs: number): HostEvent {
  if (event.kind === 'gap') return event;
  const { kind, atMs, subject } = event;
  return {
    kind,
    atMs: isCount(atMs) ? atMs : nowMs,
    ...(subject === undefined ? {} : { subject: subject.slice(0, TEXT_LENGTH_MAX).toWellFormed() }),
  };
}
