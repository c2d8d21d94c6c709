/**
 * How many starts of one agent are remembered. An image with an identity in it may run on many machines, and those
 * whose turn comes again only after more others than this look new each time.
 */
const RUNS_MAX = 64;
/**
 * How often runs may take turns before it is clear that more than one agent lives. A restarted agent causes two turns
 * with each request of its predecessor that was under way and arrives late: back to the old run, and forth again.
 */
const TURNS_MAX = 4;

/** The starts of an agent that one token was used by: the one that sent last, those before it, oldest first. */
export type Runs = {
  readonly current: number | null;
  readonly past: readonly number[];
  /** How often a run took over that had been replaced before, since one that was new came. */
  readonly turns: number;
};

export const NO_RUNS: Runs = { current: null, past: [], turns: 0 };

/** What is known after a batch of `run`, which is random per start of an agent. */
export function stepRuns(runs: Runs, run: number): Runs {
  const { current, past, turns } = runs;
  if (run === current) return runs;
  const others = current === null ? past : [...past.filter((other) => other !== run), current].slice(-RUNS_MAX);
  return { current: run, past: others, turns: past.includes(run) ? turns + 1 : 0 };
}

/** Whether these are the runs of two agents: one that restarts never comes back to an earlier run, but for late requests. */
export function areTwoAgents({ turns }: Runs): boolean {
  return turns > TURNS_MAX;
}
