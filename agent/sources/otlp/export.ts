import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

import type { Bucket } from '../../custom/histogram.ts';
import { toUnit } from '../../custom/name.ts';
import { QUANTILES_MAX, type Point, type PointValue } from '../../custom/point.ts';
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
/** Of one histogram; the SDKs make up to 160. */
const BUCKETS_MAX = 1_000;

/** The data points of an export, from its JSON form, of any origin. What is not of the form is no point, or one refused. */
export function parseExport(message: unknown): Result<readonly Point[], string> {
  if (!isRecord(message)) return err('an export is an object with resourceMetrics');
  const points: Point[] = [];
  const resources = new Map<string, number>();
  for (const resourceMetrics of parseList(message['resourceMetrics'])) {
    const attributes = parseAttributes(parseRecord(resourceMetrics['resource'])['attributes']);
    const labels = attributes.flatMap(([key, text]) =>
      RESOURCE_LABELS.has(key) && text !== null ? [[key, text] as const] : [],
    );
    const all = JSON.stringify(attributes);
    const resource = resources.get(all) ?? resources.size;
    resources.set(all, resource);
    for (const scopeMetrics of parseList(resourceMetrics['scopeMetrics'])) {
      const stream = `${resource} ${parseText(parseRecord(scopeMetrics['scope'])['name'])}`;
      for (const metric of parseList(scopeMetrics['metrics'])) addPoints(points, metric, { labels, stream });
    }
  }
  return ok(points);
}

/** What the points of one scope of one resource share. */
type Shared = { readonly labels: Pairs; readonly stream: string };

type Fields = Readonly<Record<string, unknown>>;
type Parser = (point: Fields, data: Fields) => Result<PointValue, Refusal>;

const PARSERS: readonly (readonly [field: string, parse: Parser])[] = [
  ['gauge', parseGauge],
  ['sum', parseSum],
  ['histogram', parseHistogram],
  ['exponentialHistogram', parseExponentialHistogram],
  ['summary', parseSummary],
];

function addPoints(points: Point[], metric: Fields, shared: Shared): void {
  const name = parseText(metric['name']);
  const unit = toUnit(parseText(metric['unit']));
  for (const [field, parse] of PARSERS) {
    const data = parseRecord(metric[field]);
    for (const point of parseList(data['dataPoints'])) {
      const attributes = parseAttributes(point['attributes']);
      const own = attributes.flatMap(([key, text]) => (text === null ? [] : [[key, text] as const]));
      const keys = new Set(own.map(([key]) => key));
      const labels = [...shared.labels.filter(([key]) => !keys.has(key)), ...own];
      // Bit 0 of the flags: no recorded value.
      const isNone = (parseNumber(point['flags']) ?? 0) % 2 === 1;
      // Without a label that is a list or a map, many series would be one.
      const isWhole = own.length === attributes.length;
      const value = isNone ? err(null) : isWhole ? parse(point, data) : err('labels' as const);
      const timeNs = parseNumber(point['timeUnixNano']) ?? 0;
      points.push({ name, unit, labels, value, stream: shared.stream, timeNs, ...parseOrigin(field, point, value) });
    }
  }
}

/** Of what counts in all. A beginning that is no earlier than the point says as little as none. */
function parseOrigin(field: string, point: Fields, value: Point['value']): Pick<Point, 'origin'> {
  if (!value.ok || field === 'gauge' || (value.value.kind !== 'summary' && value.value.isDelta)) return {};
  const startNs = parseNumber(point['startTimeUnixNano']) ?? 0;
  const isSaid = startNs > 0 && startNs < (parseNumber(point['timeUnixNano']) ?? Number.POSITIVE_INFINITY);
  return { origin: { startNs: isSaid ? startNs : null } };
}

function parseGauge(point: Fields): Result<PointValue, Refusal> {
  const value = parsePointNumber(point);
  return value === null ? err('value') : ok({ kind: 'number', as: 'gauge', value, isDelta: false });
}

function parseSum(point: Fields, data: Fields): Result<PointValue, Refusal> {
  const value = parsePointNumber(point);
  const isDelta = parseIsDelta(data);
  const as = data['isMonotonic'] === true ? 'counter' : 'gauge';
  if (value === null || (as === 'counter' && value < 0)) return err('value');
  return isDelta === null ? err('malformed') : ok({ kind: 'number', as, value, isDelta });
}

function parseHistogram(point: Fields, data: Fields): Result<PointValue, Refusal> {
  const counts = parseNumbers(point['bucketCounts']);
  const uppers = parseNumbers(point['explicitBounds']);
  if (counts === null || uppers === null) return err('malformed');
  const isRising = uppers.every((upper, i) => i === 0 || upper > (uppers[i - 1] ?? 0));
  const isRight = counts.length === 0 ? uppers.length === 0 : counts.length === uppers.length + 1;
  if (!isRight || !isRising || counts.length > BUCKETS_MAX) return err('malformed');
  const isKnown = uppers.length > 0;
  const buckets = counts.map((count, i) => ({ upper: uppers[i] ?? Number.POSITIVE_INFINITY, count }));
  return parseDistribution(point, data, isKnown ? buckets : []);
}

/**
 * Bucket i holds what is above base^i, up to base^(i+1), the base being 2^(2^-scale). Source: OpenTelemetry, metrics data
 * model, ExponentialHistogram.
 */
function parseExponentialHistogram(point: Fields, data: Fields): Result<PointValue, Refusal> {
  const scale = parseNumber(point['scale'] ?? 0);
  if (scale === null || !Number.isInteger(scale) || Math.abs(scale) > 20) return err('malformed');
  const positive = parseExponentialBuckets(point['positive'], scale);
  const negative = parseExponentialBuckets(point['negative'], scale);
  const zeroCount = parseNumber(point['zeroCount'] ?? 0);
  const threshold = parseNumber(point['zeroThreshold'] ?? 0);
  if (positive === null || negative === null || zeroCount === null || threshold === null) return err('malformed');
  // The other way round, and each bound the upper one of its bucket: what is below is the larger of two in size.
  const below = negative.map(({ count }, i) => ({ upper: -(negative[i - 1]?.upper ?? 0), count })).toReversed();
  return parseDistribution(point, data, [
    ...(below[0] === undefined ? [] : [{ upper: -(negative.at(-1)?.upper ?? 0), count: 0 }]),
    ...below.slice(0, -1),
    { lower: -threshold, upper: threshold, count: zeroCount },
    ...positive,
  ]);
}

/** Each with its upper bound; before them an empty one that ends where the first begins. Null where it is malformed. */
function parseExponentialBuckets(value: unknown, scale: number): readonly Bucket[] | null {
  const fields = parseRecord(value);
  const offset = parseNumber(fields['offset'] ?? 0);
  const counts = parseNumbers(fields['bucketCounts']);
  if (offset === null || counts === null || counts.length > BUCKETS_MAX) return null;
  if (counts.length === 0) return [];
  // The exponent is exact, so that a bound is the same number at every scale that has it.
  const buckets = [0, ...counts].map((count, i) => ({ upper: 2 ** ((offset + i) * 2 ** -scale), count }));
  return buckets.every(({ upper }) => Number.isFinite(upper)) ? buckets : null;
}

function parseDistribution(point: Fields, data: Fields, buckets: readonly Bucket[]): Result<PointValue, Refusal> {
  const count = parseNumber(point['count'] ?? 0);
  const isDelta = parseIsDelta(data);
  if (count === null || isDelta === null) return err('malformed');
  if (count < 0 || buckets.some((bucket) => bucket.count < 0)) return err('value');
  const sum = point['sum'] === undefined ? null : parseNumber(point['sum']);
  const [min, max] = [parseNumber(point['min']), parseNumber(point['max'])];
  const isKnown = isDelta && min !== null && max !== null && min <= max;
  // In all, the least and the largest are of a time long past.
  const bounds = isKnown ? { min, max } : {};
  return ok({ kind: 'distribution', count, sum, buckets, bounds, isDelta });
}

function parseSummary(point: Fields): Result<PointValue, Refusal> {
  const count = parseNumber(point['count'] ?? 0);
  const sum = parseNumber(point['sum'] ?? 0);
  if (count === null || sum === null || count < 0) return err('value');
  const quantiles = parseList(point['quantileValues']).flatMap((one) => {
    const quantile = parseNumber(one['quantile'] ?? 0);
    const value = parseNumber(one['value'] ?? 0);
    return quantile === null || value === null || quantile < 0 || quantile > 1 ? [] : [{ quantile, value }];
  });
  if (quantiles.length > QUANTILES_MAX) return err('malformed');
  return ok({ kind: 'summary', count, sum, quantiles });
}

/** Null where it is neither: 1 is delta, 2 cumulative. */
function parseIsDelta(data: Fields): boolean | null {
  const temporality = parseNumber(data['aggregationTemporality']);
  return temporality === 1 ? true : temporality === 2 ? false : null;
}

function parsePointNumber(point: Fields): number | null {
  return parseNumber(point['asDouble'] ?? point['asInt']);
}

/** The text of each is null where it is a list, a map or bytes, and empty where there is no value. */
function parseAttributes(value: unknown): readonly (readonly [key: string, text: string | null])[] {
  return parseList(value).map((attribute) => [parseText(attribute['key']), parseAnyValue(attribute['value'] ?? {})]);
}

function parseAnyValue(value: unknown): string | null {
  if (!isRecord(value)) return null;
  const { stringValue, boolValue, intValue, doubleValue } = value;
  if (typeof stringValue === 'string') return stringValue;
  if (typeof boolValue === 'boolean') return String(boolValue);
  const number = parseNumber(intValue ?? doubleValue);
  if (number !== null) return String(number);
  return Object.keys(value).length === 0 ? '' : null;
}

/** In JSON a number of 64 bits is a text. */
function parseNumber(value: unknown): number | null {
  if (typeof value === 'string' && !/^-?\d{1,20}$/.test(value)) return null;
  if (typeof value !== 'string' && typeof value !== 'number') return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

function parseNumbers(value: unknown): readonly number[] | null {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return null;
  const numbers = value.map(parseNumber);
  return numbers.every((number) => number !== null) ? numbers : null;
}

function parseText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function parseRecord(value: unknown): Fields {
  return isRecord(value) ? value : {};
}

function parseList(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
