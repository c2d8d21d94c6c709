import type { MetricKind } from '@muster/proto/metric';
import { err, ok } from '@muster/proto/result';

import type { Bucket } from '../../custom/histogram.ts';
import { parseUnitOfName, toUnit } from '../../custom/name.ts';
import { QUANTILES_MAX, type Point, type PointValue, type Quantile } from '../../custom/point.ts';
import type { ExpositionSample, Family } from './parse.ts';

/** The metrics of a file as points: the lines of one histogram, or summary, with the same labels are one. */
export function toPoints(families: readonly Family[]): readonly Point[] {
  return families.flatMap((family) => {
    if (family.type === 'histogram')
      return toParts(family, 'le').map((part) => makePoint(family, part, toHistogram(part)));
    if (family.type === 'summary')
      return toParts(family, 'quantile').map((part) => makePoint(family, part, toSummary(part)));
    return family.samples.flatMap((sample) => toNumber(family, sample));
  });
}

function toNumber({ name, type, unit }: Family, sample: ExpositionSample): readonly Point[] {
  const { value, labels, line } = sample;
  if (type === 'counter' && sample.name === `${name}_created`) return [];
  const isCounter = type === 'counter' || (type === 'untyped' && sample.name.endsWith('_total'));
  const as: MetricKind = isCounter ? 'counter' : 'gauge';
  const isRight = Number.isFinite(value) && (as === 'gauge' || value >= 0);
  return [
    {
      name: sample.name,
      unit: unitOf(sample.name, unit),
      labels,
      line,
      value: isRight ? ok({ kind: 'number', as, value, isDelta: false }) : err(Number.isNaN(value) ? null : 'value'), // NaN says that there is none
    },
  ];
}

/** What belongs to one set of labels, `own` left out. */
type Part = {
  readonly labels: ExpositionSample['labels'];
  readonly line: number;
  readonly bounds: { readonly bound: number; readonly value: number }[];
  sum: number | null;
  count: number | null;
};

function toParts({ name, samples }: Family, own: 'le' | 'quantile'): readonly Part[] {
  const parts = new Map<string, Part>();
  for (const { name: full, labels: all, value, line } of samples) {
    const labels = all.filter(([key]) => key !== own);
    const key = JSON.stringify(labels.toSorted(([a], [b]) => (a < b ? -1 : 1)));
    const part = parts.get(key) ?? { labels, line, bounds: [], sum: null, count: null };
    parts.set(key, part);
    const ending = full.slice(name.length);
    const bound = all.find(([label]) => label === own)?.[1];
    if (bound !== undefined) part.bounds.push({ bound: toBound(bound), value });
    else if (ending === '_sum') part.sum = value;
    else if (ending === '_count') part.count = value;
  }
  return [...parts.values()];
}

function toBound(text: string): number {
  return /^\+?inf$/i.test(text) ? Infinity : text.trim() === '' ? NaN : Number(text);
}

function makePoint({ name, unit }: Family, { labels, line }: Part, value: Point['value']): Point {
  return { name, unit: unitOf(name, unit), labels, line, value };
}

/** Each bucket counts all that lies up to its bound; the last is the count. */
function toHistogram({ bounds, sum, count }: Part): Point['value'] {
  const rising = bounds.toSorted((a, b) => a.bound - b.bound);
  const buckets: Bucket[] = [];
  let before = 0;
  for (const { bound, value } of rising) {
    if (Number.isNaN(bound) || !(value >= before)) return err('value');
    buckets.push({ upper: bound, count: value - before });
    before = value;
  }
  if (new Set(rising.map(({ bound }) => bound)).size < rising.length) return err('taken');
  const all = count ?? (rising.at(-1)?.bound === Infinity ? before : null);
  if (all === null || !Number.isFinite(all) || all < 0) return err('value');
  // A histogram of one bucket, up to infinity, knows no more than the count.
  const isKnown = buckets.length > 1;
  const known: PointValue = {
    kind: 'distribution',
    count: all,
    sum,
    buckets: isKnown ? buckets : [],
    bounds: {},
    isDelta: false,
  };
  return ok(known);
}

function toSummary({ bounds, sum, count }: Part): Point['value'] {
  const quantiles: readonly Quantile[] = bounds.map(({ bound, value }) => ({ quantile: bound, value }));
  const isRight = quantiles.every(({ quantile }) => quantile >= 0 && quantile <= 1);
  if (!isRight || (count !== null && count < 0)) return err('value');
  if (quantiles.length > QUANTILES_MAX) return err('malformed');
  return ok({ kind: 'summary', count, sum, quantiles });
}

function unitOf(name: string, unit: string): string {
  return unit === '' ? parseUnitOfName(name) : unit === 'ratio' ? '1' : toUnit(unit);
}
