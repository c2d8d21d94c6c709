import { quantileOf, QUANTILES, roundEstimate, subtractBuckets, type Bucket } from './histogram.ts';
import { stepOrigin, type Origin, type OriginStep } from './origin.ts';
import type { Point, PointValue } from './point.ts';
import type { CustomSeries } from './series.ts';

/** What must be known of series to tell what comes of them: where their counts come from, and what came before. */
export type Counting = {
  /** Whether a point of these series is told; `origin` undefined: nobody says where it comes from. */
  readonly judge: (
    claimed: readonly CustomSeries[],
    point: { readonly value: PointValue; readonly origin: Point['origin'] | undefined },
    nowMs: number,
  ) => OriginStep['verdict'];
  /** A value for each of the series, NaN where there is none. */
  readonly valuesOf: (claimed: readonly CustomSeries[], value: PointValue) => readonly number[];
  /** Those that begin, of which 0 is told first; each is given once. */
  readonly takeBegun: () => ReadonlySet<CustomSeries>;
  readonly forget: (series: CustomSeries) => void;
};

export function makeCounting(): Counting {
  /** By the first of its series: the buckets of a histogram that counts from its beginning, as they were. */
  const known = new Map<CustomSeries, readonly Bucket[]>();
  /** `toldMs`: when the process that is heard was heard last. */
  const origins = new Map<CustomSeries, { readonly origin: Origin; readonly toldMs: number }>();
  /** What had been counted when a process took over that counts from 0. */
  const bases = new Map<CustomSeries, number>();
  let begun = new Set<CustomSeries>();

  const baseOf = (series: CustomSeries): number => bases.get(series) ?? 0;

  function begin(claimed: readonly CustomSeries[], isRestart: boolean): void {
    for (const series of claimed) {
      known.delete(series);
      // All that a process has counted that began after the other was heard last came since. Of another nobody knows: its
      // fall is seen.
      if (isRestart && series.about.kind === 'counter' && series.value > 0) bases.set(series, series.value);
      else bases.delete(series);
    }
  }

  /** Of a count of what came since, which begins with the first, nobody could tell that it rose: it begins with 0. */
  function addUp(series: CustomSeries | undefined, value: number | null, isDelta: boolean): number {
    if (series === undefined || value === null) return NaN;
    if (!isDelta) return baseOf(series) + value;
    if (!Number.isNaN(series.value)) return series.value + value;
    if (series.about.kind === 'counter') begun.add(series);
    return value;
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
      const hasFallen = baseOf(first) + countOf(value) < first.value;
      const { verdict, origin: next } = stepOrigin(before?.origin, startNs, hasFallen);
      const toldMs = before === undefined || verdict === 'told' || verdict === 'begun' ? nowMs : before.toldMs;
      origins.set(first, { origin: next, toldMs });
      if (verdict === 'begun') begin(claimed, startNs !== null && startNs > (before?.toldMs ?? Infinity) * 1e6);
      return verdict;
    },
    valuesOf: (claimed, value) => valuesOf(claimed, value, { addUp, subtractKnown }),
    takeBegun: () => {
      const taken = begun;
      begun = new Set();
      return taken;
    },
    forget: (series) => {
      for (const one of [known, origins, bases]) one.delete(series);
      begun.delete(series);
    },
  };
}

/** What never falls while one process counts; NaN where it may. */
function countOf(point: PointValue): number {
  if (point.kind === 'number') return point.as === 'counter' ? point.value : NaN;
  return point.count ?? NaN;
}

type Steps = {
  readonly addUp: (series: CustomSeries | undefined, value: number | null, isDelta: boolean) => number;
  readonly subtractKnown: (first: CustomSeries, buckets: readonly Bucket[]) => readonly Bucket[];
};

function valuesOf(
  [first, second]: readonly CustomSeries[],
  point: PointValue,
  { addUp, subtractKnown }: Steps,
): readonly number[] {
  if (first === undefined) return [];
  switch (point.kind) {
    case 'number':
      return [addUp(first, point.value, point.isDelta)];
    case 'summary':
      return [
        addUp(first, point.count, false),
        addUp(second, point.sum, false),
        ...point.quantiles.map(({ value }) => value),
      ];
    case 'distribution': {
      const { count, sum, buckets, bounds, isDelta } = point;
      const since = isDelta ? buckets : subtractKnown(first, buckets);
      const quantiles = buckets.length > 0 ? QUANTILES : [];
      return [
        addUp(first, count, isDelta),
        addUp(second, sum, isDelta),
        ...quantiles.map((quantile) => roundEstimate(quantileOf(since, quantile, bounds))),
      ];
    }
  }
}
