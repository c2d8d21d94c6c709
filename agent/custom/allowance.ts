/**
 * Work that others cause by what they send: in each window of time as much of the CPU as it may take. Costs that have
 * come about are told with `spend`; once they reach what the window may cost, `isSpent`, until the next one begins.
 */
export type Allowance = {
  readonly spend: (costMs: number) => void;
  readonly isSpent: () => boolean;
  /** How long until the next window. */
  readonly leftMs: () => number;
  /** All that was spent so far. */
  readonly totalMs: () => number;
};

export type AllowanceOptions = {
  readonly windowMs: number;
  /** The share of a core. */
  readonly cpuRatioMax: number;
  /** Rises steadily. */
  readonly nowMs: () => number;
};

export function makeAllowance({ windowMs, cpuRatioMax, nowMs }: AllowanceOptions): Allowance {
  let startedMs = nowMs();
  let spentMs = 0;
  let totalMs = 0;

  function look(): void {
    if (nowMs() - startedMs < windowMs) return;
    startedMs = nowMs();
    spentMs = 0;
  }

  return {
    spend: (costMs) => {
      look();
      spentMs += costMs;
      totalMs += costMs;
    },
    isSpent: () => {
      look();
      return spentMs >= windowMs * cpuRatioMax;
    },
    leftMs: () => Math.max(0, startedMs + windowMs - nowMs()),
    totalMs: () => totalMs,
  };
}
