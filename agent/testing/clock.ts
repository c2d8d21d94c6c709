import type { Cancel } from '../schedule.ts';

export type Clock = {
  readonly now: () => number;
  readonly schedule: (run: () => void, delayMs: number) => Cancel;
  /** Lets time pass, and runs what falls due meanwhile, in order, each with all that follows from it. */
  readonly advance: (durationMs: number) => Promise<void>;
  /** Sets the wall clock, as an administrator or NTP does: timers do not notice. */
  readonly set: (wallMs: number) => void;
};

type Timer = { readonly dueMs: number; readonly run: () => void };

/** A wall clock and timers that move only when told to. */
export function makeClock(startMs: number): Clock {
  let elapsedMs = 0;
  let offsetMs = startMs;
  let timers: readonly Timer[] = [];

  async function advance(durationMs: number): Promise<void> {
    const untilMs = elapsedMs + durationMs;
    for (;;) {
      const next = timers.filter(({ dueMs }) => dueMs <= untilMs).toSorted((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined) break;
      timers = timers.filter((timer) => timer !== next);
      elapsedMs = Math.max(elapsedMs, next.dueMs);
      next.run();
      await settle();
    }
    elapsedMs = untilMs;
  }

  return {
    now: () => offsetMs + elapsedMs,
    schedule: (run, delayMs) => {
      const timer = { dueMs: elapsedMs + delayMs, run };
      timers = [...timers, timer];
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    advance,
    set: (wallMs) => {
      offsetMs = wallMs - elapsedMs;
    },
  };
}

/** Lets everything run that waits for nothing but its turn. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
