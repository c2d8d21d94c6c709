import { decodeBatch, encodeBatch, TICKS_MAX } from '@muster/proto/batch';

import type { Tick } from '../sampler.ts';
import type { Parcel, Spool } from '../spool/spool.ts';
import { drain, makeTick, openTestSpool } from './spool.ts';

export type End = 'settle' | 'release' | 'postpone' | 'refuse';

type Adding = {
  readonly count: number;
  readonly stepMs: number;
  readonly everyMs: number;
};

/**
 * What an agent, its collector or fate may do. `keep`: it is on its way, and stays there.
 */
export type Step =
  | ({ readonly kind: 'add' } & Adding)
  | { readonly kind: 'flush' | 'kill' | 'close' | 'event' }
  | { readonly kind: 'take'; readonly newest: boolean; readonly end: End | 'keep' };

/**
 * `unsure`: samples that were delivered right before a kill, which nothing on the disk may say, so that they may be
 * counted as dropped after all; and those of which the kill left more than was promised. `faults`: what was handed out and cannot be sent.
 */
export type Balance = {
  readonly delivered: number;
  readonly dropped: number;
  readonly flushed: number;
  readonly unsure: number;
  readonly faults: readonly string[];
};

/** Of the bytes 4 MiB are room for what one write may add: over 2 KB the oldest file is given up. */
const LIMITS = { bytesMax: 4 * 1024 * 1024 + 2_000, memoryBytesMax: 1_000, ageMsMax: 3_600_000 };

/** Runs steps on a spool, and keeps count of every sample. */
export type Ledger = {
  readonly run: (step: Step) => void;
  /** Delivers all that is left. */
  readonly finish: () => Balance;
};

export function openLedger(directory: string): Ledger {
  const collector = makeCollector();
  const book = makeBook();
  let nowMs = 1_000_000;
  const open = (): Spool => openTestSpool({ directory, ...LIMITS, now: () => nowMs });
  let spool = open();
  let tickMs = nowMs;
  let made = 0;
  let out: Parcel[] = [];

  function add({ count, stepMs, everyMs }: Adding): void {
    tickMs = Math.max(1_000, tickMs + stepMs * 1_000);
    nowMs = Math.max(nowMs, tickMs);
    made += 1;
    const tick = makeOwnTick(tickMs + made, count, everyMs); // no two gaps are equal
    spool.add(tick);
    book.add(tick.samples.map(({ labels }) => `${tick.tsMs} ${labels}`));
  }

  function begin(): void {
    book.kill();
    out = [];
    spool = open();
  }

  function giveBack(parcel: Parcel, wish: End): void {
    const end = collector.answer(parcel, wish);
    spool[end](parcel);
    if (end === 'settle') book.settle(namesOf(parcel));
  }

  function take(isNewest: boolean, end: End | 'keep'): void {
    if (isNewest) book.flush(); // takeNewest() flushes
    const parcel = isNewest ? spool.takeNewest() : spool.takeOldest(3);
    if (parcel !== null && end === 'keep') out.push(parcel);
    else if (parcel !== null && end !== 'keep') giveBack(parcel, end);
  }

  return {
    run: (step) => {
      switch (step.kind) {
        case 'add':
          return add(step);
        case 'flush':
          spool.flush();
          return book.flush();
        case 'event':
          return spool.note({ kind: 'oom-kill', atMs: nowMs });
        case 'close':
          spool.close();
          book.flush();
          return begin();
        case 'kill':
          return begin();
        case 'take':
          return take(step.newest, step.end);
      }
    },
    finish: () => {
      add({ count: 1, stepMs: 1_000, everyMs: 1_000 });
      for (const parcel of out) spool.release(parcel);
      book.flush();
      for (let parcels = drain(spool, 50); parcels.length > 0; parcels = drain(spool, 50)) {
        for (const parcel of parcels) giveBack(parcel, 'settle');
      }
      spool.close();
      return { ...collector.count(), ...book.count() };
    },
  };
}

/** Which samples are on the disk, by their names, and what a kill leaves unsure. */
function makeBook() {
  let unflushed: string[] = [];
  const flushed = new Set<string>();
  /** Since something was written last. */
  let settled: string[] = [];
  const unsure = new Set<string>();
  return {
    add: (names: readonly string[]): void => void unflushed.push(...names),
    flush: (): void => {
      if (unflushed.length > 0) settled = [];
      for (const one of unflushed) flushed.add(one);
      unflushed = [];
    },
    settle: (names: readonly string[]): void => {
      for (const one of names) flushed.add(one);
      settled.push(...names, ...unflushed); // the latter may be written with what refused ones leave
    },
    kill: (): void => {
      for (const one of settled) unsure.add(one);
      unflushed = [];
      settled = [];
    },
    count: () => ({ flushed: flushed.size, unsure: unsure.size }),
  };
}

/** A tick with series of its own, so that none of its samples is taken for another's. */
function makeOwnTick(tsMs: number, count: number, everyMs: number): Tick {
  const tick = makeTick(tsMs, count, everyMs);
  const samples = tick.samples.map((sample) => Object.assign(sample, { labels: `${sample.labels},tick=${tsMs}` }));
  return { ...tick, samples };
}

/** Takes every sample once, which it knows by tick and labels, and every gap. */
function makeCollector() {
  const delivered = new Set<string>();
  const gaps = new Map<string, number>();
  const faults: string[] = [];
  return {
    count: () => ({
      delivered: delivered.size,
      dropped: [...gaps.values()].reduce((sum, one) => sum + one, 0),
      faults,
    }),
    /** How it ends in truth: what was taken is not refused when it comes again, nor is a gap. */
    answer: (parcel: Parcel, wish: End): End => {
      const names = namesOf(parcel);
      const isWelcome = names.length === 0 || names.some((name) => delivered.has(name));
      const end = wish === 'refuse' && isWelcome ? 'settle' : wish;
      if (end !== 'settle') return end;
      const { batch } = parcel;
      for (const name of names) delivered.add(name);
      for (const event of batch.events ?? []) if (event.kind === 'gap') gaps.set(JSON.stringify(event), event.dropped);
      const decoded = decodeBatch(encodeBatch({ ...batch, sentMs: 0 }));
      if (!decoded.ok) faults.push(decoded.error);
      if (batch.seq - (batch.since ?? batch.seq) >= TICKS_MAX) faults.push(`${batch.since} to ${batch.seq}`);
      return end;
    },
  };
}

function namesOf({ batch: { series, ticksMs, values } }: Parcel): string[] {
  return series.flatMap(([, labels], row) =>
    ticksMs.flatMap((tsMs, column) =>
      Number.isNaN(values[row * ticksMs.length + column]) ? [] : [`${tsMs} ${labels}`],
    ),
  );
}
