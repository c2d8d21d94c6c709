/**
 * Chance that can be had again: numbers from 0 up to 1 that follow from the seeds alone.
 *
 * Several seeds name one sequence: (7, 3) is the third thing of run 7, whatever the first two have drawn. Mulberry32
 * (Tommy Ettinger, public domain): 2^32 numbers, plenty for tests and of no use for secrets.
 */
export function seededRandom(...seeds: readonly number[]): () => number {
  let state = seeds.reduce((mixed, seed) => scramble(mixed ^ scramble(seed + 0x9e37_79b9)), 0);
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number from `min` to `max`, both included. */
export function drawInteger(random: () => number, min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1));
}

/** One of a list that is not empty. */
export function drawOne<T>(random: () => number, list: readonly [T, ...T[]]): T {
  return list[Math.floor(random() * list.length)] ?? list[0];
}

/** The finaliser of MurmurHash3 (Austin Appleby, public domain): every bit of the input moves half of the output's. */
function scramble(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return mixed ^ (mixed >>> 16);
}
