import { quantileOf, QUANTILES, roundEstimate, subtractBuckets, type Bucket } from './histogram.ts';
import { stepOrigin, type Origin, type OriginStep } from './origin.ts';
import type { Point, PointValue } from './point.ts';
import type { CustomSeries } from './series.ts';

/** What came to a counter that was not told for so long is told after how it stood, which the collector forgets in 10 min. */
const QUIET_MS = 5 * 60_000;

/** What must be known of series to tell what comes of them: where their counts come from, and what came before. */
export type Counting = {
  /** Whether a point of these series is told; `origin` undefined: nobody says where it comes from. */
  readonly judge: (
    claimed: readonly CustomSeries[],
    point: { readonly value: PointValue; readonly origin: Point['origin'] | undefined },
    nowMs: number,
  ) => OriginStep['verdict'];
  /** Gives the series of a point their values, and says which of them have one. */
  readonly take: (claimed: readonly CustomSeries[], value: PointValue, nowMs: number) => readonly CustomSeries[];
  /** Forgets of a series that has ended all but where its counts come from, for it may come again. */
  readonly rest: (series: CustomSeries) => void;
};

export function makeCounting(): Counting {
  /** By the first of its series: the buckets of a histogram that counts from its beginning, as they were. */
  const known = new Map<CustomSeries, readonly Bucket[]>();
  const origins = new WeakMap<CustomSeries, Origin>();

  function begin(claimed: readonly CustomSeries[], baseOf: (series: CustomSeries, i: number) => number): void {
    for (const [i, series] of claimed.entries()) {
      known.delete(series);
      const base = series.about.kind === 'counter' ? baseOf(series, i) : 0;
      // Where the sum would be no exact number its fall is seen.
      series.base = Math.abs(base) <= Number.MAX_SAFE_INTEGER ? base : 0;
    }
  }

  /** What came since the export before; nothing at the first, for that may be all of a service's life. */
  function subtractKnown(first: CustomSeries, buckets: readonly Bucket[]): readonly Bucket[] {
    const before = known.get(first);
    if (buckets.length > 0) known.set(first, buckets);
    return before === undefined ? [] : subtractBuckets(buckets, before);
  }

  return {
    judge: (claimed, { value, origin }, nowMs) => {
      const [first] = claimed;
      if (origin === undefined || first === undefined) return 'told';
      const { startNs } = origin;
      const before = origins.get(first);
      const hasFallen = first.base + countOf(value) < first.value;
      const { verdict, origin: next } = stepOrigin(before, { startNs, hasFallen, nowMs });
      origins.set(first, next);
      if (verdict === 'begun') {
        // All that a process has counted that began after the other was heard last came since. Of another nobody knows: its
        // fall is seen.
        const isRestart = startNs !== null && startNs > (before?.toldMs ?? Infinity) * 1e6;
        begin(claimed, (series) => (isRestart ? series.value : 0));
      }
      if (verdict === 'resumed') {
        // What it has counted may stand anywhere, and says nothing of what came of late: the series goes on where it stands.
        const values = valuesOf(value, () => []);
        begin(claimed, (series, i) => series.value - (values[i] ?? NaN));
      }
      return verdict;
    },
    take: (claimed, point, nowMs) => {
      const [first] = claimed;
      const values = first === undefined ? [] : valuesOf(point, (buckets) => subtractKnown(first, buckets));
      const isSince = point.kind !== 'summary' && point.isDelta;
      return claimed.filter((series, i) => {
        const value = values[i] ?? NaN;
        return isSince && i < SUMS ? addTo(series, value, nowMs) : setTo(series, value);
      });
    },
    rest: (series) => void known.delete(series),
  };
}

/** What never falls while one process counts; NaN where it may. */
function countOf(point: PointValue): number {
  if (point.kind === 'number') return point.as === 'counter' ? point.value : NaN;
  return point.count ?? NaN;
}

/** So many values of a point add up: a number itself, or a count and a sum; the others are quantiles. */
const SUMS = 2;

/** A value for each of its series, NaN where there is none. */
function valuesOf(point: PointValue, subtract: (buckets: readonly Bucket[]) => readonly Bucket[]): readonly number[] {
  switch (point.kind) {
    case 'number':
      return [point.value];
    case 'summary':
      return [point.count ?? NaN, point.sum ?? NaN, ...point.quantiles.map(({ value }) => value)];
    case 'distribution': {
      const { count, sum, buckets, bounds, isDelta } = point;
      const since = isDelta ? buckets : subtract(buckets);
      const quantiles = buckets.length > 0 ? QUANTILES : [];
      return [count, sum ?? NaN, ...quantiles.map((quantile) => roundEstimate(quantileOf(since, quantile, bounds)))];
    }
  }
}

function addTo(series: CustomSeries, value: number, nowMs: number): boolean {
  const sum = (Number.isNaN(series.value) ? 0 : series.value) + value;
  if (!Number.isFinite(sum)) return false;
  const isQuiet = series.about.kind === 'counter' && Math.abs(nowMs - series.seenMs) >= QUIET_MS;
  if (isQuiet) series.before ??= series.value;
  series.value = sum;
  return true;
}

function setTo(series: CustomSeries, value: number): boolean {
  const sum = series.base + value;
  if (!Number.isFinite(sum)) return false;
  series.value = sum;
  series.before = null;
  return true;
}
