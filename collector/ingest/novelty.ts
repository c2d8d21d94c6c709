import type { HeardHost } from '../domain/samples.ts';

/** Whether all ticks of a batch are later than any that is stored of its host, or is about to be. Asked once a batch. */
export type IsNew = (host: string, ticksMs: readonly number[]) => boolean;

/**
 * Knows of each host the newest tick that was ever stored, from what was heard before and what it is asked since: what is
 * later need not be looked for among the samples. Of a host that nothing is known of nothing is stored; that of its first
 * batch is looked for all the same.
 */
export function makeNovelty(heard: readonly HeardHost[]): IsNew {
  const newestMs = new Map(heard.map(({ host, lastMs }) => [host, lastMs]));
  return (host, ticksMs) => {
    const knownMs = newestMs.get(host) ?? Infinity;
    let isNew = true;
    let lastMs = newestMs.get(host) ?? -Infinity;
    for (const tickMs of ticksMs) {
      if (tickMs <= knownMs) isNew = false;
      if (tickMs > lastMs) lastMs = tickMs;
    }
    if (ticksMs.length > 0) newestMs.set(host, lastMs);
    return isNew;
  };
}
