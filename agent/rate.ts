import { counterRise } from '@muster/proto/metric';

import { ratioOf } from './ratio.ts';

/** Counters that are parts of one whole, such as the times of a core by mode. */
export type Counters<K extends string> = Readonly<Record<K, number>>;

/**
 * The share of each counter in what all of them rose by between two readings: each 0…1, together 1 but for the
 * last digit.
 *
 * Null when nothing rose, and when a counter fell (a reset says nothing about the time in between), except those in
 * `wavering`, whose fall is the kernel's inaccuracy and counts as no rise.
 */
export function sharesOf<K extends string>(
  keys: readonly K[],
  previous: Counters<K>,
  current: Counters<K>,
  wavering: ReadonlySet<K>,
): Counters<K> | null {
  const rises: [K, number][] = [];
  let total = 0;
  for (const key of keys) {
    const rise = counterRise(previous[key], current[key]) ?? (wavering.has(key) ? 0 : null);
    if (rise === null) return null;
    rises.push([key, rise]);
    total += rise;
  }
  if (total === 0) return null;
  return Object.fromEntries(rises.map(([key, rise]) => [key, ratioOf(rise, total)])) as Counters<K>; // one entry for each of keys
}
