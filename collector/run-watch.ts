import { areTwoAgents, NO_RUNS, stepRuns, type Runs } from './domain/runs.ts';
import type { HostToken, StateTable } from './store/state.ts';

export type RunWatchOptions = {
  readonly hostTokens: StateTable<HostToken>;
  /** A host is quarantined: these two starts of an agent took turns. */
  readonly onQuarantined: (host: string, runs: readonly [number, number]) => void;
  readonly now: () => number;
};

/** Whether a batch of this token and this start of an agent may be taken. One that does not say its start may. */
export type AdmitRun = (token: string, run: number | undefined) => Promise<boolean>;

/**
 * Finds the tokens with which two machines send, and quarantines them. What it knows of their runs is lost with the
 * process; that a token is quarantined is stored, and `false` is said before that is so.
 */
export function makeRunWatch({ hostTokens, onQuarantined, now }: RunWatchOptions): AdmitRun {
  // By the stored row, which is another object as soon as the token is in another state.
  const runsOf = new WeakMap<HostToken, Runs>();
  const quarantining = new Set<string>();

  async function quarantine({ hash, host }: HostToken, { current, past }: Runs): Promise<void> {
    if (quarantining.has(hash)) return;
    quarantining.add(hash);
    try {
      await hostTokens.change(hash, (row) =>
        row.state === 'live' ? { ...row, state: 'quarantined', sinceMs: now() } : row,
      );
      onQuarantined(host, [past.at(-1) ?? 0, current ?? 0]);
    } finally {
      quarantining.delete(hash);
    }
  }

  return async (hash, run) => {
    const token = hostTokens.get(hash);
    if (token === undefined) return true; // it was there when the request came
    if (token.state === 'quarantined' || quarantining.has(hash)) return false;
    if (run === undefined || token.state !== 'live') return true;
    const runs = stepRuns(runsOf.get(token) ?? NO_RUNS, run);
    runsOf.set(token, runs);
    if (!areTwoAgents(runs)) return true;
    await quarantine(token, runs);
    return false;
  };
}
