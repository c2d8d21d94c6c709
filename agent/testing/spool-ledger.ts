import { decodeBatch, encodeBatch, TICKS_MAX } from '@muster/proto/batch';

import type { Tick } from '../sampler.ts';
import type { Parcel, Spool } from '../spool/spool.ts';
import { drain, makeTick, openTestSpool } from './spool.ts';

export type End = 'settle' | 'release' | 'postpone' | 'refuse';

/** What an agent, its collector or fate may do. `keep`: it is on its way, and stays there. */
export type Step =
  | { readonly kind: 'add'; readonly count: number; readonly stepMs: number }
  | { readonly kind: 'flush' | 'kill' | 'close' | 'event' }
  | { readonly kind: 'take'; readonly newest: boolean; readonly end: End | 'keep' };

/** `faults`: what was handed out and cannot be sent. */
export type Balance = {
  readonly delivered: number;
  readonly dropped: number;
  readonly flushed: number;
  readonly faults: readonly string[];
};

/** Runs steps on a spool, and keeps count of every sample. */
export type Ledger = {
  readonly run: (step: Step) => void;
  /** Delivers all that is left. */
  readonly finish: () => Balance;
};

export function openLedger(directory: string): Ledger {
  const collector = makeCollector();
  let nowMs = 1_000_000;
  const open = (): Spool => openTestSpool({ directory, now: () => nowMs });
  let spool = open();
  let unflushed: string[] = [];
  const flushed = new Set<string>();
  let tickMs = nowMs;
  let made = 0;
  let out: Parcel[] = [];

  function markFlushed(): void {
    for (const one of unflushed) flushed.add(one);
    unflushed = [];
  }

  function add(count: number, stepMs: number): void {
    tickMs = Math.max(1_000, tickMs + stepMs * 1_000);
    nowMs = Math.max(nowMs, tickMs);
    made += 1;
    const tick = makeOwnTick(tickMs, count, made);
    spool.add(tick);
    unflushed.push(...tick.samples.map(({ labels }) => `${tickMs} ${labels}`));
  }

  function begin(): void {
    unflushed = [];
    out = [];
    spool = open();
  }

  function take(isNewest: boolean, end: End | 'keep'): void {
    if (isNewest) markFlushed(); // takeNewest() flushes
    const parcel = isNewest ? spool.takeNewest() : spool.takeOldest(3);
    if (parcel !== null && end === 'keep') out.push(parcel);
    else if (parcel !== null && end !== 'keep') spool[collector.answer(parcel, end)](parcel);
  }

  return {
    run: (step) => {
      switch (step.kind) {
        case 'add':
          return add(step.count, step.stepMs);
        case 'flush':
          spool.flush();
          return markFlushed();
        case 'event':
          return spool.note({ kind: 'oom-kill', atMs: nowMs });
        case 'close':
          spool.close();
          markFlushed();
          return begin();
        case 'kill':
          return begin();
        case 'take':
          return take(step.newest, step.end);
      }
    },
    finish: () => {
      add(1, 1_000);
      for (const parcel of out) spool.release(parcel);
      markFlushed();
      for (let parcels = drain(spool, 50); parcels.length > 0; parcels = drain(spool, 50)) {
        for (const parcel of parcels) spool[collector.answer(parcel, 'settle')](parcel);
      }
      spool.close();
      return { ...collector.count(), flushed: flushed.size };
    },
  };
}

/** A tick with series of its own, so that none of its samples is taken for another's. */
function makeOwnTick(tsMs: number, count: number, number: number): Tick {
  const tick = makeTick(tsMs, count);
  const samples = tick.samples.map((sample) => Object.assign(sample, { labels: `${sample.labels},tick=${number}` }));
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
