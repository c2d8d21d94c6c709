import type { ClockOffset } from './sources/clock.ts';

/** One request and its answer: when they left and came by this host's clock, and what the collector's said. */
export type Exchange = {
  readonly sentMs: number;
  readonly receivedMs: number;
  readonly nowMs?: number;
  readonly heldMs?: number;
};

/** What is older says less than a good clock drifts meanwhile: 100 ppm are 30 ms. */
const EXCHANGE_MS_MAX = 300_000;
/** Five minutes of pushes, and what comes of a watched host in one. */
const EXCHANGES_MAX = 60;

type Estimate = { readonly atMs: number; readonly offsetMs: number; readonly errorMs: number };

/**
 * Finds the offset of this host's clock from the pushes that are under way anyway. The truth lies within half of the
 * time that an exchange was on its way, so the one that took the least counts. Source: RFC 5905, section 8.
 */
export function makeClockOffset() {
  let estimates: readonly Estimate[] = [];
  return {
    note: ({ sentMs, receivedMs, nowMs, heldMs }: Exchange): void => {
      if (nowMs === undefined || heldMs === undefined) return;
      const onTheWayMs = receivedMs - sentMs - heldMs;
      if (onTheWayMs < 0) return; // one of the clocks was set meanwhile
      const offsetMs = (sentMs + receivedMs) / 2 - (nowMs - heldMs / 2);
      // A millisecond is the least that either clock tells.
      const latest = { atMs: receivedMs, offsetMs, errorMs: onTheWayMs / 2 + 1 };
      const isStill = (one: Estimate): boolean =>
        Math.abs(latest.atMs - one.atMs) <= EXCHANGE_MS_MAX &&
        // Beyond what both may be wrong by, a clock was set: what was before counts no longer.
        Math.abs(latest.offsetMs - one.offsetMs) <= latest.errorMs + one.errorMs;
      estimates = [...estimates.filter(isStill), latest].slice(-EXCHANGES_MAX);
    },
    /** null before the first exchange. */
    read: (): ClockOffset | null => {
      const [best] = estimates.toSorted((a, b) => a.errorMs - b.errorMs);
      if (best === undefined) return null;
      return { offsetSeconds: best.offsetMs / 1_000, errorSeconds: best.errorMs / 1_000 };
    },
  };
}
