import { makeGlobs } from '../globs.ts';
import type { Listed } from './answers.ts';

/** Containers that are gone sooner have no series: what a build or a job uses is in those of the host. */
export const SETTLE_MS = 60_000;
/** How long a name that is gone holds its place among those that are known. */
const FORGET_MS = 24 * 3_600_000;
/** So many places there are for each container that may be watched at once: enough to deploy all of them anew. */
const PLACES_PER_CONTAINER = 3;

export type NameOptions = {
  /** How many containers have series at once. */
  readonly limit: number;
  /** With `*` for anything and `?` for one character. None: all. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly settleMs: number;
};

export type Chosen = {
  /** By name; of several with one name (compose makes the next one before it removes the last) the one that runs. */
  readonly containers: ReadonlyMap<string, Listed>;
  /** Why others are left out that should not be, in words; empty: none are. */
  readonly remarks: readonly string[];
};

/**
 * Chooses the containers that have series. A container gets them when it is a minute old, or when its name is known; at most
 * `limit` at once, those that run and are known before others, the older before the younger; and in a day at most so many
 * names as there are places. So neither memory nor the store grows with containers that come and go for ever.
 */
export function makeNames({ limit, settleMs, ...globs }: NameOptions) {
  const seenMs = new Map<string, number>();
  const places = limit * PLACES_PER_CONTAINER;
  const isIncluded = makeGlobs(globs.include.length === 0 ? ['*'] : globs.include);
  const isExcluded = makeGlobs(globs.exclude);
  const isWanted = (name: string) => isIncluded(name) && !isExcluded(name);
  return {
    isWanted,
    isKnown: (name: string) => seenMs.has(name),
    choose: (listed: readonly Listed[], nowMs: number): Chosen => {
      for (const [name, atMs] of seenMs) if (nowMs - atMs >= FORGET_MS) seenMs.delete(name);
      const settled = listed.filter(
        ({ name, createdMs }) => isWanted(name) && (seenMs.has(name) || nowMs - createdMs >= settleMs),
      );
      const rankOf = ({ name, state }: Listed) => (state === 'running' ? 0 : 2) + (seenMs.has(name) ? 0 : 1);
      const ranked = settled.toSorted((a, b) => rankOf(a) - rankOf(b) || a.createdMs - b.createdMs);
      const containers = new Map<string, Listed>();
      const remarks = new Set<string>();
      for (const one of ranked) {
        const other = containers.get(one.name);
        if (other !== undefined) {
          if (other.state === one.state) containers.set(one.name, one); // the younger
        } else if (containers.size >= limit) remarks.add(`there are more than ${limit} containers: ${LIMIT}`);
        else if (!seenMs.has(one.name) && seenMs.size >= places) remarks.add(`${places} ${PLACES}`);
        else {
          containers.set(one.name, one);
          seenMs.set(one.name, nowMs);
        }
      }
      return { containers, remarks: [...remarks] };
    },
  };
}

const LIMIT = 'the others are left out; sources.containers.limit says how many are not, exclude which need not be';
const PLACES =
  'names of containers in a day are as many as have a place: new ones are left out, unless exclude makes room';
