/**
 * `part / whole`, 0…1, as a decimal of five digits: finer than what the kernel counts in a second, and in the store
 * less than half the size of a fraction with all its bits (PEERS.md, ALP). `whole` must be above 0.
 */
export function ratioOf(part: number, whole: number): number {
  return Math.round(Math.min(1, Math.max(0, part / whole)) * 1e5) / 1e5;
}
