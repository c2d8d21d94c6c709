const HOUR_MS = 3_600_000;
/**
 * Rows of quarantine that one host may fill in an hour. Enough to see what is wrong with it; a host whose clock is a
 * year off sends 100,000 samples an hour that help nobody.
 */
export const QUARANTINE_ROWS_MAX = 10_000;

/** Deals out to each host its share of the quarantine. What is beyond is counted with the batch, and not kept. */
export type QuarantineShare = ReturnType<typeof makeQuarantineShare>;

export function makeQuarantineShare() {
  let hour = 0;
  const taken = new Map<string, number>();
  return {
    /** How many more rows of a host are kept in this hour. */
    left(host: string, nowMs: number): number {
      const thisHour = Math.floor(nowMs / HOUR_MS);
      if (thisHour !== hour) taken.clear();
      hour = thisHour;
      return QUARANTINE_ROWS_MAX - (taken.get(host) ?? 0);
    },
    take(host: string, rows: number): void {
      if (rows > 0) taken.set(host, (taken.get(host) ?? 0) + rows);
    },
  };
}
