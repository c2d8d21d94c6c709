import { quantileOf, QUANTILES, roundEstimate, subtractBuckets, type Bucket } from './histogram.ts';
import { addQuantile, toLabels } from './labels.ts';
import { toMetricName } from './name.ts';
import { stepOrigin, type Origin } from './origin.ts';
import type { Distribution, Point, PointValue, Summary } from './point.ts';
import type { Refusal } from './refusal.ts';
import { tellValue, type CustomSeries, type SeriesKeeper, type SeriesName } from './series.ts';
import type { Sample } from '../source.ts';

/** What came to a counter that was not told for so long is told after how it stood, which the collector forgets in 10 min. */
const QUIET_MS = 5 * 60_000;

/** What is not taken of what was told at once. */
export type Refused = readonly { readonly point: Point; readonly refusal: Refusal }[];

/** What was told, until it is read. */
export type Intake = {
  /** Takes what belongs together: a series that is in it twice is taken once. */
  readonly take: (points: readonly Point[], nowMs: number) => Refused;
  /** What came since the reading before: of each series the newest value, once; of a counter that begins, in two readings. */
  readonly read: (nowMs: number) => readonly Sample[];
};

/** By the first of its series: the buckets of a histogram that counts from its beginning, as they were. */
type Known = Map<CustomSeries, readonly Bucket[]>;

export function makeIntake(keeper: SeriesKeeper): Intake {
  const fresh = new Set<CustomSeries>();
  const known: Known = new Map();
  const judgeOrigin = makeOriginJudge();
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
    const verdict = origin === undefined ? 'told' : judgeOrigin(claimed, origin, value.value);
    if (verdict === 'refused') return 'origin';
    if (verdict === 'begun') claimed.forEach((series) => known.delete(series));
    const values = verdict === 'held' ? [] : valuesOf(value.value, claimed[0], known);
    for (const [i, series] of claimed.entries()) {
      taken.add(series);
      const next = values[i] ?? NaN;
      const isTaken = isSince(value.value, i) ? addTo(series, next, nowMs) : setTo(series, next);
      if (isTaken) fresh.add(series);
      series.seenMs = nowMs;
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
      }
      return Array.from(fresh, (series) => {
        // What begins has more to tell.
        if (series.before === null) fresh.delete(series);
        const { metric, labels, about } = series;
        return { metric, labels, about, value: tellValue(series) };
      });
    },
  };
}

/** Judges points by where their counts come from, and joins what one process has counted to what the next one does. */
function makeOriginJudge() {
  // Of a series that comes again it is known still.
  const origins = new WeakMap<CustomSeries, Origin>();
  return (series: readonly CustomSeries[], { startNs }: { readonly startNs: number | null }, value: PointValue) => {
    const [first] = series;
    if (first === undefined) return 'told';
    const before = origins.get(first);
    const { origin, verdict } = stepOrigin(before, startNs, first.base + countOf(value) < first.value);
    origins.set(first, origin);
    // One that began later counts from 0, so that all of it came since; of another nobody knows, and its fall is seen.
    const isLater = verdict === 'begun' && startNs !== null && startNs > (before?.startNs ?? Infinity);
    if (isLater) for (const one of series) if (one.about.kind === 'counter') raiseBase(one);
    return verdict;
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

/** A value for each of its series, of which `first` is the first, NaN where there is none. */
function valuesOf(point: PointValue, first: CustomSeries | undefined, known: Known): readonly number[] {
  if (first === undefined) return [];
  switch (point.kind) {
    case 'number':
      return [point.value];
    case 'summary':
      return [point.count ?? NaN, point.sum ?? NaN, ...point.quantiles.map(({ value }) => value)];
    case 'distribution': {
      const { count, sum, buckets, bounds, isDelta } = point;
      const since = isDelta ? buckets : subtractKnown(known, first, buckets);
      return [
        count,
        sum ?? NaN,
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

/** Whether the value of a series is what came since the point before: a number itself, or the count and the sum of many. */
function isSince(point: PointValue, at: number): boolean {
  return point.kind !== 'summary' && point.isDelta && at < 2;
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

/** So that a series goes on where another process begins at 0. Beyond what a number holds exactly it falls, for all to see. */
function raiseBase(series: CustomSeries): void {
  series.base = series.value <= Number.MAX_SAFE_INTEGER ? series.value : 0;
}

/** What came since the export before; nothing at the first, for that may be all of a service's life. */
function subtractKnown(known: Known, first: CustomSeries, buckets: readonly Bucket[]): readonly Bucket[] {
  const before = known.get(first);
  if (buckets.length > 0) known.set(first, buckets);
  return before === undefined ? [] : subtractBuckets(buckets, before);
}
