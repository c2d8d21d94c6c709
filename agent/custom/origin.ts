/**
 * Where the counts of a series come from: a process that counts since `startNs`, null where it does not say, heard last at
 * `toldMs`. `others`: how many points of a younger one have come since; `isShared`: it has come back after them.
 */
export type Origin = {
  readonly startNs: number | null;
  readonly toldMs: number;
  readonly others: number;
  readonly isShared: boolean;
};

/** One more point of the series. `hasFallen`: it counts less than was told. */
export type OriginPoint = { readonly startNs: number | null; readonly hasFallen: boolean; readonly nowMs: number };

/**
 * `begun`: it counts from another beginning than the point before; `resumed`: the same, and most of it is long past;
 * `held`: it is not told, for the next one decides.
 */
export type OriginStep = {
  readonly origin: Origin;
  readonly verdict: 'told' | 'begun' | 'resumed' | 'held' | 'refused';
};

/** Two points in a row, and nothing of the one before: that one has ended. */
const POINTS_BELIEVED = 2;
/** The same where only the value has fallen, and such falls have been followed by a return. */
const FALLS_BELIEVED = 10;
/** Who was not heard for so long has ended: exporters tell everything once a minute unless they are told otherwise. */
export const SILENT_MS = 5 * 60_000;

/**
 * Judges one more point of a series that one process is meant to tell: of several that tell the same series one is heard.
 * A restart begins later than what it replaces, and that is heard of no more; who begins later while the other is still
 * heard of tells the series a second time. So a younger origin takes over with its second point in a row, and an older one
 * does not come back while the younger is heard: whatever takes turns, the origin changes at most once for each of them.
 * Where the beginning is the same, as after a fork, or not said, a count that has fallen (`hasFallen`) is of a younger one.
 * Source: OpenTelemetry, metrics data model, Single-Writer, Resets and Gaps, Overlap.
 */
export function stepOrigin(known: Origin | undefined, { startNs, hasFallen, nowMs }: OriginPoint): OriginStep {
  const fresh = { startNs, toldMs: nowMs, others: 0, isShared: false };
  if (known === undefined) return { origin: fresh, verdict: 'begun' };
  const isSaid = startNs !== null && known.startNs !== null && startNs !== known.startNs;
  if (isSaid && isOlder(startNs, known.startNs, nowMs * 1e6)) {
    // Set back, the clock makes nobody heard of late.
    const isSilent = Math.abs(nowMs - known.toldMs) >= SILENT_MS;
    return isSilent ? { origin: fresh, verdict: 'resumed' } : { origin: known, verdict: 'refused' };
  }
  if (!isSaid && !hasFallen) {
    const isShared = known.isShared || known.others > 0;
    return { origin: { ...fresh, startNs: startNs ?? known.startNs, isShared }, verdict: 'told' };
  }
  const others = known.others + 1;
  const isBelieved = others >= (known.isShared && !isSaid ? FALLS_BELIEVED : POINTS_BELIEVED);
  if (isBelieved) return { origin: fresh, verdict: 'begun' };
  return { origin: { ...known, others }, verdict: known.isShared ? 'refused' : 'held' };
}

/** A beginning that lies ahead of now is of a clock that was set back since: before all that does not. */
function isOlder(oneNs: number, otherNs: number, nowNs: number): boolean {
  const isAhead = oneNs > nowNs;
  return isAhead === otherNs > nowNs ? oneNs < otherNs : isAhead;
}
