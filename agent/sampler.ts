import type { Schedule } from './schedule.ts';
import type { Sample } from './source.ts';

/** All that the sources had to say at one moment, a multiple of the sampling interval then. */
export type Tick = { readonly tsMs: number; readonly everyMs: number; readonly samples: readonly Sample[] };

export type SamplerOptions = {
  /** What all sources that are due at this tick have to say. Never rejects. */
  readonly read: (tsMs: number, everyMs: number) => Promise<readonly Sample[]>;
  readonly everyMs: number;
  /** Is given each tick. After the clock was set back, ticks may be older than those before. */
  readonly take: (tick: Tick) => void;
  readonly now: () => number;
  readonly schedule: Schedule;
};

export type Sampler = {
  readonly setEvery: (everyMs: number) => void;
  /** Resolves when the tick that is under way has been taken; none follows. */
  readonly close: () => Promise<void>;
};

/**
 * The first tick comes at once, at the next multiple of this: who starts an agent wants to see its host. It lies ahead,
 * so that no tick of an agent before has its time.
 */
const FIRST_MS = 100;
/** After the first tick the next one is left out when it is nearer than this part of the interval: rates over a short time are coarse. */
const NEAR_RATIO = 0.4;

/**
 * Samples once in each interval, at the multiple of it on the wall clock or as soon after that as the timer fires; the
 * tick bears the multiple. Ticks never overlap: one that takes longer than the interval makes the next ones fall out.
 * The delay is computed anew each time and is hardly longer than the interval, so that no jump of the clock, and no
 * suspension, stops it.
 */
export function openSampler({ read, take, now, schedule, ...options }: SamplerOptions): Sampler {
  let { everyMs } = options;
  let ticks = 0;
  let dueMs = 0;
  let cancel: (() => void) | null = null; // null while a tick is under way
  let running: Promise<void> = Promise.resolve();
  let closed = false;

  function stepMs(): number {
    return ticks === 0 ? FIRST_MS : everyMs;
  }

  function arm(nowMs: number): void {
    if (closed) return;
    dueMs = nowMs - (nowMs % stepMs()) + stepMs();
    if (ticks === 1 && dueMs - nowMs < everyMs * NEAR_RATIO) dueMs += everyMs;
    cancel = schedule(fire, dueMs - nowMs);
  }

  function fire(): void {
    const nowMs = now();
    // A timer may fire a millisecond early, and a clock may be set back a little: the tick is still to come. The clock
    // is looked at once: a second look may find that the tick has just begun, and would aim at the one after it.
    if (nowMs < dueMs && nowMs >= dueMs - everyMs) return arm(nowMs);
    cancel = null;
    running = sample(nowMs - (nowMs % stepMs()), stepMs()).then(() => arm(now()));
  }

  async function sample(tsMs: number, tickEveryMs: number): Promise<void> {
    const samples = await read(tsMs, everyMs);
    ticks += 1;
    take({ tsMs, everyMs: tickEveryMs, samples });
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
