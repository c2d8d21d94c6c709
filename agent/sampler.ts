import { describeError, type Log } from '@muster/proto/log';
import { err } from '@muster/proto/result';

import type { Schedule } from './schedule.ts';
import type { Sample, Source } from './source.ts';

/** All that the sources had to say at one moment, a multiple of the sampling interval then. */
export type Tick = { readonly tsMs: number; readonly everyMs: number; readonly samples: readonly Sample[] };

export type SamplerOptions = {
  readonly sources: readonly Source[];
  readonly everyMs: number;
  /** Is given each tick. After the clock was set back, ticks may be older than those before. */
  readonly take: (tick: Tick) => void;
  readonly log: Log;
  readonly now: () => number;
  readonly schedule: Schedule;
};

export type Sampler = {
  readonly setEvery: (everyMs: number) => void;
  /** Resolves when the tick that is under way has been taken; none follows. */
  readonly close: () => Promise<void>;
};

/**
 * Samples once in each interval, at the multiple of it on the wall clock or as soon after that as the timer fires; the
 * tick bears the multiple. Ticks never overlap: one that takes longer than the interval makes the next ones fall out.
 * The delay is computed anew each time and is never longer than the interval, so that no jump of the clock, and no
 * suspension, stops it.
 */
export function openSampler({ sources, take, log, now, schedule, ...options }: SamplerOptions): Sampler {
  const readSource = makeReader(log);
  let { everyMs } = options;
  let dueMs = 0;
  let cancel: (() => void) | null = null; // null while a tick is under way
  let running: Promise<void> = Promise.resolve();
  let closed = false;

  function arm(nowMs: number): void {
    if (closed) return;
    dueMs = nowMs - (nowMs % everyMs) + everyMs;
    cancel = schedule(fire, dueMs - nowMs);
  }

  function fire(): void {
    const nowMs = now();
    // A timer may fire a millisecond early, and a clock may be set back a little: the tick is still to come. The clock
    // is looked at once: a second look may find that the tick has just begun, and would aim at the one after it.
    if (nowMs < dueMs && nowMs >= dueMs - everyMs) return arm(nowMs);
    cancel = null;
    running = sample(nowMs - (nowMs % everyMs), everyMs).then(() => arm(now()));
  }

  async function sample(tsMs: number, tickEveryMs: number): Promise<void> {
    const samples = await Promise.all(sources.map(readSource));
    take({ tsMs, everyMs: tickEveryMs, samples: samples.flat() });
  }

  arm(now());
  return {
    setEvery: (nextMs) => {
      if (nextMs === everyMs) return;
      everyMs = nextMs;
      if (cancel === null) return; // the tick under way arms the next one
      cancel();
      arm(now());
    },
    close: async () => {
      closed = true;
      cancel?.();
      await running;
    },
  };
}

/** Reads a source, whatever it does, and logs what it says only when that changes. */
function makeReader(log: Log): (source: Source) => Promise<readonly Sample[]> {
  const said = new Map<string, string>();
  return async (source) => {
    const reading = await source.read().catch((cause: unknown) => err(describeError(cause)));
    const news = reading.ok ? (reading.value.remark ?? '') : reading.error;
    if (news !== (said.get(source.name) ?? '')) {
      said.set(source.name, news);
      if (!reading.ok) log.warn('source.failed', { source: source.name, reason: news });
      else if (news === '') log.info('source.complete', { source: source.name });
      else log.info('source.incomplete', { source: source.name, remark: news });
    }
    return reading.ok ? reading.value.samples : [];
  };
}
