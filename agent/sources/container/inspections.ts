import type { Inspected, Listed } from './answers.ts';

/** At most so many containers are asked about in one reading: with all of them started at once, it takes a few. */
const INSPECTIONS_MAX = 50;
/** Of those, so many because it is long ago that they were asked about. */
const STALE_MAX = 5;
/** After this it is: of what changes without a word in the list (`docker update`). */
const STALE_MS = 10 * 60_000;
/** So soon where the list does not say how a container with a health check is: Podman's. */
const STALE_HEALTH_MS = 30_000;

export type Inspection = {
  readonly inspected: Inspected;
  readonly atMs: number;
  /** What the list said then. */
  readonly said: string;
};

/**
 * Keeps what an engine says of each container when it is asked, and says which to ask about: those of which the list says
 * something else than last time, or tells their age in seconds, for then they may have been restarted in between; those to
 * which something has happened; and a few that were last asked about long ago.
 */
export function makeInspections() {
  const known = new Map<string, Inspection>();
  return {
    find: (id: string): Inspection | null => known.get(id) ?? null,
    choose: (listed: readonly Listed[], happened: ReadonlySet<string>, nowMs: number): Listed[] => {
      const changed: Listed[] = [];
      const stale: (readonly [atMs: number, one: Listed])[] = [];
      for (const one of listed) {
        const last = known.get(one.id);
        if (last === undefined || happened.has(one.id) || last.said !== describe(one) || isYoung(one))
          changed.push(one);
        else if (nowMs - last.atMs >= (isHealthHidden(one, last) ? STALE_HEALTH_MS : STALE_MS) || nowMs < last.atMs)
          stale.push([last.atMs, one]);
      }
      const oldest = stale.toSorted(([a], [b]) => a - b).map(([, one]) => one);
      // Those that wait longest first, or the same ones would always be left over.
      const first = changed.toSorted((a, b) => (known.get(a.id)?.atMs ?? 0) - (known.get(b.id)?.atMs ?? 0));
      return [...oldest.slice(0, STALE_MAX), ...first].slice(0, INSPECTIONS_MAX);
    },
    keep: (one: Listed, inspected: Inspected, nowMs: number): Inspection => {
      const inspection = { inspected, atMs: nowMs, said: describe(one) };
      known.set(one.id, inspection);
      return inspection;
    },
    /** Forgets those that are gone. */
    prune: (listed: readonly Listed[]): void => {
      const ids = new Set(listed.map(({ id }) => id));
      for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
    },
  };
}

function describe({ state, status, health }: Listed): string {
  return `${state} ${status} ${health ?? ''}`;
}

/** `Up Less than a second`, `Restarting (1) 3 seconds ago`; what has ended stays so until it says something else. */
function isYoung({ state, status }: Listed): boolean {
  return state !== 'exited' && state !== 'dead' && / seconds?\b/.test(status);
}

function isHealthHidden({ health }: Listed, { inspected }: Inspection): boolean {
  return health === null && inspected.health !== null;
}
