/**
 * Where the counts of a series come from: a process that counts since `startNs`, null where it does not say. `others`: how
 * many points of a younger one have come since its last; `isShared`: it has come back after them.
 */
export type Origin = { readonly startNs: number | null; readonly others: number; readonly isShared: boolean };

/** `begun`: it counts from another beginning than the point before; `held`: it is not told, for the next one decides. */
export type OriginStep = { readonly origin: Origin; readonly verdict: 'told' | 'begun' | 'held' | 'refused' };

/** Two points in a row, and nothing of the one before: that one has ended. */
const POINTS_BELIEVED = 2;
/** The same where only the value has fallen, and such falls have been followed by a return. */
const FALLS_BELIEVED = 10;

/**
 * Judges one more point of a series that one process is meant to tell: of several that tell the same series one is heard.
 * A restart begins later than what it replaces, and that is heard of no more; who begins later while the other is still
 * heard of tells the series a second time. So a younger origin takes over with its second point in a row, and an older one
 * never comes back: whatever takes turns, the origin changes at most once for each of them. Where the beginning is the
 * same, as after a fork, or not said, a count that has fallen (`hasFallen`) is of a younger one.
 * Source: OpenTelemetry, metrics data model, Single-Writer, Resets and Gaps, Overlap.
 */
export function stepOrigin(known: Origin | undefined, startNs: number | null, hasFallen: boolean): OriginStep {
  const begun = { origin: { startNs, others: 0, isShared: false }, verdict: 'begun' } as const;
  if (known === undefined) return begun;
  const isSaid = startNs !== null && known.startNs !== null && startNs !== known.startNs;
  if (isSaid && startNs < known.startNs) return { origin: known, verdict: 'refused' };
  if (!isSaid && !hasFallen) {
    const isShared = known.isShared || known.others > 0;
    return { origin: { startNs: startNs ?? known.startNs, others: 0, isShared }, verdict: 'told' };
  }
  const others = known.others + 1;
  if (others >= (known.isShared && !isSaid ? FALLS_BELIEVED : POINTS_BELIEVED)) return begun;
  return { origin: { ...known, others }, verdict: known.isShared ? 'refused' : 'held' };
}
