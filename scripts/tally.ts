/** Counts one thing more. */
export function countIn<K>(counts: Map<K, number>, key: K, more = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + more);
}

/** Adds the counts of many. */
export function joinCounts<K>(all: readonly ReadonlyMap<K, number>[]): ReadonlyMap<K, number> {
  const joined = new Map<K, number>();
  for (const counts of all) for (const [key, count] of counts) countIn(joined, key, count);
  return joined;
}

export function describeCounts(counts: ReadonlyMap<unknown, number>): string {
  return counts.size === 0 ? 'none' : [...counts].map(([key, times]) => `${times} × ${String(key)}`).join(', ');
}
