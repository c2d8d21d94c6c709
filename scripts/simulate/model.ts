import type { Effects } from './effects.ts';

/** One reading: its time by the clock of the world, how long ago the one before was, and what befalls the host. */
export type Moment = { readonly tMs: number; readonly elapsedS: number; readonly effects: Effects };

/** What is asked of a host, of its peak; and how busy all its cores are, 0…1. */
export type Load = { readonly demand: number; readonly cpu: number };

/** As many digits as the kernel tells. */
export function round(value: number, digits: 0 | 2 | 4): number {
  const power = 10 ** digits;
  return Math.round(value * power) / power;
}

/** What counters need to go on: their values, how long ago they were read, and chance. */
export type Counting = { readonly values: Float64Array; readonly elapsedS: number; readonly random: () => number };

/** A counter goes on, in whole numbers or hundredths; by chance by one more, so that what is less than that adds up too. */
export function rise({ values, random }: Counting, place: number | undefined, by: number, digits: 0 | 2): void {
  if (place === undefined) return;
  const power = 10 ** digits;
  values[place] = (Math.round((values[place] ?? 0) * power) + Math.floor(by * power + random())) / power;
}
