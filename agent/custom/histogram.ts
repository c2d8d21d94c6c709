/** Quantiles that a distribution is shown by; 1 is the largest value. */
export const QUANTILES = [0.5, 0.9, 0.99, 1] as const;

/** To six digits: more than an estimate is worth, and half of what all bits take in the store. */
export function roundEstimate(value: number): number {
  return Number(value.toPrecision(6));
}

/** How many values lie up to `upper` and above the bound before, or `lower` where that is above it. `upper` may be Infinity. */
export type Bucket = { readonly lower?: number; readonly upper: number; readonly count: number };

export type Bounds = { readonly min?: number; readonly max?: number };

/**
 * A quantile of values of which only buckets are known, their bounds rising: linear within the bucket that it falls into,
 * as if its values lay evenly there. The lowest bucket begins at `min`, else at 0, or, where its bound is below that, ends
 * there; what lies above the last finite bound is taken for `max`, else for that bound. NaN where there are no values.
 * Source: Prometheus, histogram_quantile.
 */
export function quantileOf(buckets: readonly Bucket[], quantile: number, { min, max }: Bounds): number {
  const total = buckets.reduce((sum, { count }) => sum + count, 0);
  if (!(total > 0)) return NaN;
  if (quantile >= 1 && max !== undefined) return max;
  const rank = quantile * total;
  let before = 0;
  let lower = min ?? Math.min(0, buckets[0]?.upper ?? 0);
  for (const bucket of buckets) {
    const { upper, count } = bucket;
    lower = Math.max(lower, bucket.lower ?? lower);
    if (count > 0 && before + count >= rank) {
      const end = Math.min(upper, max ?? Number.POSITIVE_INFINITY);
      if (!Number.isFinite(end)) return lower;
      const start = Math.min(lower, end);
      return start + (end - start) * ((rank - before) / count);
    }
    before += count;
    lower = Math.max(lower, upper);
  }
  return lower;
}

/**
 * How many values came into each bucket since the time before, where both counted from one beginning; none where a count
 * has fallen. The bounds of both rise. Buckets that are new were empty before; those that were merged into wider ones, as
 * exponential histograms do with each new extreme, count for the one that they lie in.
 */
export function subtractBuckets(now: readonly Bucket[], before: readonly Bucket[]): readonly Bucket[] {
  const counts = now.map(({ count }) => count);
  let at = 0;
  for (const { upper, count } of before) {
    while (at < now.length && (now[at]?.upper ?? 0) < upper) at += 1;
    if (count === 0) continue;
    const left = (counts[at] ?? 0) - count;
    if (left < 0) return [];
    counts[at] = left;
  }
  return now.map((bucket, i) => ({ ...bucket, count: counts[i] ?? 0 }));
}
