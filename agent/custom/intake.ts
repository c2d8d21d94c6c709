import { makeCounting } from './counting.ts';
import { QUANTILES } from './histogram.ts';
import { addQuantile, toLabels } from './labels.ts';
import { toMetricName } from './name.ts';
import type { Distribution, Point, PointValue, Summary } from './point.ts';
import type { Refusal } from './refusal.ts';
import { tellValue, type CustomSeries, type SeriesKeeper, type SeriesName } from './series.ts';
import type { Sample } from '../source.ts';

/** What is not taken of what was told at once. */
export type Refused = readonly { readonly point: Point; readonly refusal: Refusal }[];

/** What was told, until it is read. */
export type Intake = {
  /**
   * Takes what belongs together, the oldest first: what one stream tells of a series at several times is one after the
   * other; else a series that is in it twice is taken once.
   */
  readonly take: (points: readonly Point[], nowMs: number) => Refused;
  /** What came since the reading before: of each series the newest value, once; of a counter that begins how it stood, and its value later. */
  readonly read: (nowMs: number) => readonly Sample[];
};

export function makeIntake(keeper: SeriesKeeper): Intake {
  const fresh = new Set<CustomSeries>();
  const counting = makeCounting();

  function takePoint(point: Point, taken: Map<CustomSeries, Point>, nowMs: number): Refusal | null {
    const { name, unit, labels, value, origin } = point;
    if (!value.ok) return value.error; // null: there is no value
    const metric = toMetricName(name);
    if (!metric.ok) return metric.error;
    const own = toLabels(labels);
    if (!own.ok) return own.error;
    const names = nameSeries({ metric: metric.value, labels: own.value, unit }, value.value);
    const claimed = keeper.claim(names, nowMs);
    if (typeof claimed === 'string') return claimed;
    if (claimed.some((series) => !isAfter(point, taken.get(series)))) return 'taken';
    const verdict = counting.judge(claimed, { value: value.value, origin }, nowMs);
    if (verdict === 'refused') return 'origin';
    if (verdict !== 'held') for (const series of counting.take(claimed, value.value, nowMs)) fresh.add(series);
    for (const series of claimed) {
      taken.set(series, point);
      series.seenMs = nowMs;
    }
    return null;
  }

  return {
    take: (points, nowMs) => {
      const taken = new Map<CustomSeries, Point>();
      return points
        .toSorted((one, other) => timeOf(one) - timeOf(other))
        .flatMap((point) => {
          const refusal = takePoint(point, taken, nowMs);
          if (refusal === null) return [];
          keeper.refuse(refusal, point.name);
          return [{ point, refusal }];
        });
    },
    read: (nowMs) => {
      for (const series of keeper.expire(nowMs)) {
        fresh.delete(series);
        counting.rest(series);
      }
      return Array.from(fresh, (series) => {
        if (series.before === null) fresh.delete(series); // else its value goes with the next reading
        const { metric, labels, about } = series;
        return { metric, labels, about, value: tellValue(series) };
      });
    },
  };
}

function timeOf({ timeNs = 0 }: Point): number {
  return timeNs;
}

function isAfter(point: Point, before: Point | undefined): boolean {
  return before === undefined || (point.stream === before.stream && timeOf(point) > timeOf(before));
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
