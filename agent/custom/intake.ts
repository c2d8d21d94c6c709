import { makeCounting } from './counting.ts';
import { QUANTILES } from './histogram.ts';
import { addQuantile, toLabels } from './labels.ts';
import { toMetricName } from './name.ts';
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
  /** What came since the reading before: of each series the newest value, once; 0 of a count that begins, and itself later. */
  readonly read: (nowMs: number) => readonly Sample[];
};

export function makeIntake(keeper: SeriesKeeper): Intake {
  const fresh = new Set<CustomSeries>();
  const counting = makeCounting();

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
    const verdict = counting.judge(claimed, { value: value.value, origin }, nowMs);
    if (verdict === 'refused') return 'origin';
    const values = verdict === 'held' ? [] : counting.valuesOf(claimed, value.value);
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
        counting.forget(series);
      }
      const begun = counting.takeBegun();
      const samples = Array.from(fresh, (series) => {
        const { metric, labels, about, value } = series;
        return { metric, labels, about, value: begun.has(series) ? 0 : value };
      });
      fresh.clear();
      for (const series of begun) fresh.add(series); // its count goes with the next reading
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
