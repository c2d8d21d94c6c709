import { quantileOf, QUANTILES, roundEstimate, subtractBuckets, type Bucket } from './histogram.ts';
import { addQuantile, toLabels } from './labels.ts';
import { toMetricName } from './name.ts';
import { stepOrigin, type Origin } from './origin.ts';
import type { Distribution, Point, PointValue, Summary } from './point.ts';
import type { Refusal } from './refusal.ts';
import type { CustomSeries, SeriesKeeper, SeriesName } from './series.ts';
import type { Sample } from '../source.ts';

/** What is not taken of what was told at once. */
export type Refused = readonly { readonly point: Point; readonly refusal: Refusal }[];

/** What was told, until it is read. */
export type Intake = {
  /** Takes what belongs together: a series that is in it twice is taken once. */
  readonly take: (points: readonly Point[], nowMs: number) => Refused;
  /** What came since the reading before: of each series the newest value, once. */
  readonly read: (nowMs: number) => readonly Sample[];
};

/** By the first of its series: the buckets of a histogram that counts from its beginning, as they were. */
type Known = Map<CustomSeries, readonly Bucket[]>;

export function makeIntake(keeper: SeriesKeeper): Intake {
  const fresh = new Set<CustomSeries>();
  const known: Known = new Map();
  const origins = new Map<CustomSeries, Origin>();

  /** Whether a point is told, held, or refused; `series` is the first of its own. */
  function judgeOrigin(series: CustomSeries, { startNs }: { startNs: number | null }, value: PointValue) {
    const { origin, verdict } = stepOrigin(origins.get(series), startNs, countOf(value) < series.value);
    origins.set(series, origin);
    if (verdict === 'begun') known.delete(series);
    return verdict;
  }

  function takePoint(
    { name, unit, labels, value, origin }: Point,
    taken: Set<CustomSeries>,
    nowMs: number,
  ): Refusal | null {
    if (!value.ok) return value.error; // null: there is no value
    const metric = toMetricName(name);
    if (!metric.ok) return metric.error;
    const own = toLabels(labels);
    if (!own.ok) return own.error;
    const names = nameSeries({ metric: metric.value, labels: own.value, unit }, value.value);
    const claimed = keeper.claim(names, nowMs);
    if (typeof claimed === 'string') return claimed;
    if (claimed.some((series) => taken.has(series))) return 'taken';
    const [first] = claimed;
    const verdict = origin === undefined || first === undefined ? 'told' : judgeOrigin(first, origin, value.value);
    if (verdict === 'refused') return 'origin';
    const values = verdict === 'held' ? [] : valuesOf(value.value, claimed, known);
    for (const [i, series] of claimed.entries()) {
      taken.add(series);
      series.seenMs = nowMs;
      const next = values[i] ?? NaN;
      if (!Number.isFinite(next)) continue;
      series.value = next;
      fresh.add(series);
    }
    return null;
  }

  return {
    take: (points, nowMs) => {
      const taken = new Set<CustomSeries>();
      return points.flatMap((point) => {
        const refusal = takePoint(point, taken, nowMs);
        if (refusal === null) return [];
        keeper.refuse(refusal, point.name);
        return [{ point, refusal }];
      });
    },
    read: (nowMs) => {
      for (const series of keeper.expire(nowMs)) {
        fresh.delete(series);
        known.delete(series);
        origins.delete(series);
      }
      const samples = Array.from(fresh, ({ metric, labels, about, value }) => ({ metric, labels, about, value }));
      fresh.clear();
      return samples;
    },
  };
}

type Named = { readonly metric: string; readonly labels: string; readonly unit: string };

function nameSeries({ metric, labels, unit }: Named, point: PointValue): readonly SeriesName[] {
  if (point.kind === 'number') return [{ metric, labels, about: { kind: point.as, unit } }];
  return [
    { metric: `${metric}.count`, labels, about: { kind: 'counter', unit: '' } },
    { metric: `${metric}.sum`, labels, about: { kind: 'counter', unit } },
    ...quantilesOf(point).map((quantile) => ({
      metric,
      labels: addQuantile(labels, quantile),
      about: { kind: 'gauge', unit } as const,
    })),
  ];
}

function quantilesOf(point: Distribution | Summary): readonly number[] {
  if (point.kind === 'summary') return point.quantiles.map(({ quantile }) => quantile);
  return point.buckets.length > 0 ? QUANTILES : [];
}

/** A value for each of the series, NaN where there is none. */
function valuesOf(point: PointValue, claimed: readonly CustomSeries[], known: Known): readonly number[] {
  const [first, second] = claimed;
  if (first === undefined) return [];
  switch (point.kind) {
    case 'number':
      return [addUp(first, point.value, point.isDelta)];
    case 'summary':
      return [point.count ?? NaN, point.sum ?? NaN, ...point.quantiles.map(({ value }) => value)];
    case 'distribution': {
      const { count, sum, buckets, bounds, isDelta } = point;
      const since = isDelta ? buckets : subtractKnown(known, first, buckets);
      return [
        addUp(first, count, isDelta),
        sum === null || second === undefined ? NaN : addUp(second, sum, isDelta),
        ...(buckets.length > 0 ? QUANTILES : []).map((quantile) => roundEstimate(quantileOf(since, quantile, bounds))),
      ];
    }
  }
}

/** What never falls while one process counts; NaN where it may. */
function countOf(point: PointValue): number {
  if (point.kind === 'number') return point.as === 'counter' ? point.value : NaN;
  return point.count ?? NaN;
}

function addUp(series: CustomSeries, value: number, isDelta: boolean): number {
  return isDelta && !Number.isNaN(series.value) ? series.value + value : value;
}

/** What came since the export before; nothing at the first, for that may be all of a service's life. */
function subtractKnown(known: Known, first: CustomSeries, buckets: readonly Bucket[]): readonly Bucket[] {
  const before = known.get(first);
  if (buckets.length > 0) known.set(first, buckets);
  return before === undefined ? [] : subtractBuckets(buckets, before);
}
