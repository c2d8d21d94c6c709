import type { Cost } from './meter.ts';

/** The share of a core that one source may use on average: twice what all are meant to cost together, so that only what is far out of line is slowed. */
export const CPU_RATIO_MAX = 0.01;
/** So many runs are judged together: one of them may fall into a moment in which the host is busy. */
export const RUNS_JUDGED = 5;
/** Of those after a change the first is passed over: code that runs for the first time is compiled. */
const RUNS_PASSED_OVER = 1;
/** A source that is too dear once a minute is worth less than it costs. */
export const PACE_MS_MAX = 60_000;
/** It is read more often again only when it would then use up to half of its budget, so that it does not go to and fro. */
const COMFORT = 0.5;

/**
 * How a source stands to its budget. `slowdown`: its interval is this many times what it would be, 1, 2, 4, …; `runs` are
 * those since the last change.
 */
export type Budget = { readonly slowdown: number; readonly isOff: boolean; readonly runs: readonly Cost[] };
export const NEW_BUDGET: Budget = { slowdown: 1, isOff: false, runs: [] };

export type Verdict = 'kept' | 'slowed' | 'quickened' | 'off';

/**
 * Judges one more run of a source that is read every `everyMs` when it is not slowed down. It may use `cpuRatioMax` of a
 * core, and must be done before it is due again. Beyond that it is read half as often, down to once in PACE_MS_MAX; a
 * source for which even that is too often is switched off.
 */
export function judgeRun(
  budget: Budget,
  cost: Cost,
  { everyMs, cpuRatioMax }: { readonly everyMs: number; readonly cpuRatioMax: number },
): { readonly budget: Budget; readonly verdict: Verdict } {
  const runs = [...budget.runs, cost];
  if (runs.length < RUNS_PASSED_OVER + RUNS_JUDGED) return { budget: { ...budget, runs }, verdict: 'kept' };
  const judged = runs.slice(RUNS_PASSED_OVER);
  const paceMs = everyMs * budget.slowdown;
  const use = (atMs: number) =>
    Math.max(meanOf(judged, 'cpuMs') / (atMs * cpuRatioMax), meanOf(judged, 'durationMs') / atMs);
  if (use(paceMs) > 1) {
    if (paceMs >= PACE_MS_MAX) return { budget: { ...budget, isOff: true, runs: [] }, verdict: 'off' };
    return { budget: { ...budget, slowdown: budget.slowdown * 2, runs: [] }, verdict: 'slowed' };
  }
  if (budget.slowdown > 1 && use(paceMs / 2) <= COMFORT) {
    return { budget: { ...budget, slowdown: budget.slowdown / 2, runs: [] }, verdict: 'quickened' };
  }
  // The first one stays where it is, passed over.
  return { budget: { ...budget, runs: [...runs.slice(0, RUNS_PASSED_OVER), ...judged.slice(1)] }, verdict: 'kept' };
}

function meanOf(runs: readonly Cost[], key: keyof Cost): number {
  return runs.reduce((sum, cost) => sum + cost[key], 0) / runs.length;
}
