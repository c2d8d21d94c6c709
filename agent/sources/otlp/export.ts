import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

import type { Bucket } from '../../custom/histogram.ts';
import { toUnit } from '../../custom/name.ts';
import type { Point, PointValue } from '../../custom/point.ts';
import type { Refusal } from '../../custom/refusal.ts';

type Pairs = Point['labels'];

/** Whose the numbers are. Of a resource no other attribute becomes a label: they are many, and the same for a whole service. */
const RESOURCE_LABELS: ReadonlySet<string> = new Set([
  'service.name',
  'service.namespace',
  'service.instance.id',
  'deployment.environment',
  'deployment.environment.name',
]);
/** Of one summary: more are a histogram. */
const QUANTILES_MAX = 10;
/** Of one histogram; the SDKs make up to 160. */
const BUCKETS_MAX = 1_000;

/** The data points of an export, from its JSON form, of any origin. What is not of the form is no point, or one refused. */
export function readExport(message: unknown): Result<readonly Point[], string> {
  if (!isRecord(message)) return err('an export is an object with resourceMetrics');
  const points: Point[] = [];
  for (const resourceMetrics of readList(message['resourceMetrics'])) {
    const resource = readRecord(resourceMetrics['resource']);
    const own = (readAttributes(resource['attributes']) ?? []).filter(([key]) => RESOURCE_LABELS.has(key));
    for (const scopeMetrics of readList(resourceMetrics['scopeMetrics'])) {
      for (const metric of readList(scopeMetrics['metrics'])) addPoints(points, metric, own);
    }
  }
  return ok(points);
}

type Fields = Readonly<Record<string, unknown>>;
type Reader = (point: Fields, data: Fields) => Result<PointValue, Refusal>;

const READERS: readonly (readonly [field: string, read: Reader])[] = [
  ['gauge', readGauge],
  ['sum', readSum],
  ['histogram', readHistogram],
  ['exponentialHistogram', readExponentialHistogram],
  ['summary', readSummary],
];

function addPoints(points: Point[], metric: Fields, resource: Pairs): void {
  const name = readText(metric['name']);
  const unit = toUnit(readText(metric['unit']));
  for (const [field, read] of READERS) {
    const data = readRecord(metric[field]);
    for (const point of readList(data['dataPoints'])) {
      const own = readAttributes(point['attributes']);
      const keys = new Set(own?.map(([key]) => key));
      const labels = [...resource.filter(([key]) => !keys.has(key)), ...(own ?? [])];
      // Bit 0 of the flags: no recorded value.
      const isNone = (readNumber(point['flags']) ?? 0) % 2 === 1;
      const value = isNone ? err(null) : own === null ? err('labels' as const) : read(point, data);
      points.push({ name, unit, labels, value, ...readOrigin(field, point, value) });
    }
  }
}

/** Of what counts in all. A beginning that is no earlier than the point says as little as none. */
function readOrigin(field: string, point: Fields, value: Point['value']): Pick<Point, 'origin'> {
  if (!value.ok || field === 'gauge' || (value.value.kind !== 'summary' && value.value.isDelta)) return {};
  const startNs = readNumber(point['startTimeUnixNano']) ?? 0;
  const isSaid = startNs > 0 && startNs < (readNumber(point['timeUnixNano']) ?? Number.POSITIVE_INFINITY);
  return { origin: { startNs: isSaid ? startNs : null } };
}

function readGauge(point: Fields): Result<PointValue, Refusal> {
  const value = readPointNumber(point);
  return value === null ? err('value') : ok({ kind: 'number', as: 'gauge', value, isDelta: false });
}

function readSum(point: Fields, data: Fields): Result<PointValue, Refusal> {
  const value = readPointNumber(point);
  const isDelta = readIsDelta(data);
  const as = data['isMonotonic'] === true ? 'counter' : 'gauge';
  if (value === null || (as === 'counter' && value < 0)) return err('value');
  return isDelta === null ? err('malformed') : ok({ kind: 'number', as, value, isDelta });
}

function readHistogram(point: Fields, data: Fields): Result<PointValue, Refusal> {
  const counts = readNumbers(point['bucketCounts']);
  const uppers = readNumbers(point['explicitBounds']);
  if (counts === null || uppers === null) return err('malformed');
  const isRising = uppers.every((upper, i) => i === 0 || upper > (uppers[i - 1] ?? 0));
  const isRight = counts.length === 0 ? uppers.length === 0 : counts.length === uppers.length + 1;
  if (!isRight || !isRising || counts.length > BUCKETS_MAX) return err('malformed');
  const isKnown = uppers.length > 0;
  const buckets = counts.map((count, i) => ({ upper: uppers[i] ?? Number.POSITIVE_INFINITY, count }));
  return readDistribution(point, data, isKnown ? buckets : []);
}

/**
 * Bucket i holds what is above base^i, up to base^(i+1), the base being 2^(2^-scale). Source: OpenTelemetry, metrics data
 * model, ExponentialHistogram.
 */
function readExponentialHistogram(point: Fields, data: Fields): Result<PointValue, Refusal> {
  const scale = readNumber(point['scale'] ?? 0);
  if (scale === null || !Number.isInteger(scale) || Math.abs(scale) > 20) return err('malformed');
  const positive = readExponentialBuckets(point['positive'], scale);
  const negative = readExponentialBuckets(point['negative'], scale);
  const zeroCount = readNumber(point['zeroCount'] ?? 0);
  const threshold = readNumber(point['zeroThreshold'] ?? 0);
  if (positive === null || negative === null || zeroCount === null || threshold === null) return err('malformed');
  // The other way round, and each bound the upper one of its bucket: what is below is the larger of two in size.
  const below = negative.map(({ count }, i) => ({ upper: -(negative[i - 1]?.upper ?? 0), count })).toReversed();
  return readDistribution(point, data, [
    ...(below[0] === undefined ? [] : [{ upper: -(negative.at(-1)?.upper ?? 0), count: 0 }]),
    ...below.slice(0, -1),
    { upper: threshold, count: zeroCount },
    ...positive,
  ]);
}

/** Each with its upper bound; before them an empty one that ends where the first begins. Null where it is malformed. */
function readExponentialBuckets(value: unknown, scale: number): readonly Bucket[] | null {
  const fields = readRecord(value);
  const offset = readNumber(fields['offset'] ?? 0);
  const counts = readNumbers(fields['bucketCounts']);
  if (offset === null || counts === null || counts.length > BUCKETS_MAX) return null;
  if (counts.length === 0) return [];
  // The exponent is exact, so that a bound is the same number at every scale that has it.
  const buckets = [0, ...counts].map((count, i) => ({ upper: 2 ** ((offset + i) * 2 ** -scale), count }));
  return buckets.every(({ upper }) => Number.isFinite(upper)) ? buckets : null;
}

function readDistribution(point: Fields, data: Fields, buckets: readonly Bucket[]): Result<PointValue, Refusal> {
  const count = readNumber(point['count'] ?? 0);
  const isDelta = readIsDelta(data);
  if (count === null || isDelta === null) return err('malformed');
  if (count < 0 || buckets.some((bucket) => bucket.count < 0)) return err('value');
  const sum = point['sum'] === undefined ? null : readNumber(point['sum']);
  const [min, max] = [readNumber(point['min']), readNumber(point['max'])];
  const isKnown = isDelta && min !== null && max !== null && min <= max;
  // In all, the least and the largest are of a time long past.
  const bounds = isKnown ? { min, max } : {};
  return ok({ kind: 'distribution', count, sum, buckets, bounds, isDelta });
}

function readSummary(point: Fields): Result<PointValue, Refusal> {
  const count = readNumber(point['count'] ?? 0);
  const sum = readNumber(point['sum'] ?? 0);
  if (count === null || sum === null || count < 0) return err('value');
  const quantiles = readList(point['quantileValues']).flatMap((one) => {
    const quantile = readNumber(one['quantile'] ?? 0);
    const value = readNumber(one['value'] ?? 0);
    return quantile === null || value === null || quantile < 0 || quantile > 1 ? [] : [{ quantile, value }];
  });
  if (quantiles.length > QUANTILES_MAX) return err('malformed');
  return ok({ kind: 'summary', count, sum, quantiles });
}

/** Null where it is neither: 1 is delta, 2 cumulative. */
function readIsDelta(data: Fields): boolean | null {
  const temporality = readNumber(data['aggregationTemporality']);
  return temporality === 1 ? true : temporality === 2 ? false : null;
}

function readPointNumber(point: Fields): number | null {
  return readNumber(point['asDouble'] ?? point['asInt']);
}

/** Null where one is a list or a map: those would make one series of many. */
function readAttributes(value: unknown): Pairs | null {
  const pairs: [string, string][] = [];
  for (const attribute of readList(value)) {
    const text = readAnyValue(readRecord(attribute['value']));
    if (text === null) return null;
    pairs.push([readText(attribute['key']), text]);
  }
  return pairs;
}

function readAnyValue({ stringValue, boolValue, intValue, doubleValue }: Fields): string | null {
  if (typeof stringValue === 'string') return stringValue;
  if (typeof boolValue === 'boolean') return String(boolValue);
  const number = readNumber(intValue ?? doubleValue);
  return number === null ? null : String(number);
}

/** In JSON a number of 64 bits is a text. */
function readNumber(value: unknown): number | null {
  if (typeof value === 'string' && !/^-?\d{1,20}$/.test(value)) return null;
  if (typeof value !== 'string' && typeof value !== 'number') return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

function readNumbers(value: unknown): readonly number[] | null {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return null;
  const numbers = value.map(readNumber);
  return numbers.every((number) => number !== null) ? numbers : null;
}

function readText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function readRecord(value: unknown): Fields {
  return isRecord(value) ? value : {};
}

function readList(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
