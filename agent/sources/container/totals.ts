import { counterRise } from '@muster/proto/metric';

import { COUNTERS, type CounterName, type Counts } from './usage.ts';

/** One run of one container, from its start to its end: `key` names it. */
export type Run = { readonly key: string; readonly startedMs: number | null };

type Entry = { run: Run; seenMs: number; counts: Counts; readonly totals: Map<CounterName, number> };

/**
 * Adds up what the containers of each name have used since they were first seen, over restarts and over containers that were
 * made anew under the name, whose own counts begin at 0 or anywhere. A total is a counter that neither falls nor jumps.
 */
export function makeTotals() {
  const entries = new Map<string, Entry>();
  return {
    /** What `name` has used up to `nowMs`, now that the run that it is in has come to `counts`. */
    add: (name: string, run: Run, counts: Counts, nowMs: number): Counts => {
      const before = entries.get(name);
      const entry = before ?? { run, seenMs: nowMs, counts, totals: new Map<CounterName, number>() };
      for (const counter of COUNTERS) {
        const count = counts[counter];
        if (count === undefined) continue;
        const rise = before === undefined ? 0 : riseOf(before, run, counter, count);
        entry.totals.set(counter, (entry.totals.get(counter) ?? 0) + rise);
      }
      entries.set(name, Object.assign(entry, { run, seenMs: nowMs, counts }));
      return Object.fromEntries(entry.totals);
    },
    /** Forgets all others. */
    keep: (isKept: (name: string) => boolean): void => {
      for (const name of entries.keys()) if (!isKept(name)) entries.delete(name);
    },
  };
}

/**
 * All that a run has used that began after the name was seen last is new; of another one that is new under the name (it was
 * renamed) nobody knows how much is.
 */
function riseOf(before: Entry, run: Run, counter: CounterName, count: number): number {
  if (run.key !== before.run.key) return run.startedMs !== null && run.startedMs >= before.seenMs ? count : 0;
  const previous = before.counts[counter];
  return previous === undefined ? 0 : (counterRise(previous, count) ?? 0);
}
