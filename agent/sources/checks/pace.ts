import type { Cancel, Schedule } from '../../schedule.ts';

export type Pace = {
  readonly everyMs: number;
  /** From now to the first time. */
  readonly firstMs: number;
  /** Rises steadily, whatever is done to the wall clock. */
  readonly nowMs: () => number;
  readonly schedule: Schedule;
};

/** Calls `run` at a steady pace. A host that was held up, or asleep, does not make up for the times that it missed. */
export function keepPace({ everyMs, firstMs, nowMs, schedule }: Pace, run: () => void): Cancel {
  let dueMs = nowMs() + firstMs;
  let cancel = schedule(fire, firstMs);
  function fire(): void {
    const missed = Math.max(0, Math.floor((nowMs() - dueMs) / everyMs));
    dueMs += (missed + 1) * everyMs;
    cancel = schedule(fire, dueMs - nowMs());
    run();
  }
  return () => cancel();
}
