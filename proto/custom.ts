import { findMetric, type MetricKind } from './metric.ts';
import { err, ok, type Result } from './result.ts';

/** What has to be known of a metric to show it: whether it is read as a rate, and its unit (UCUM; '' where nobody said). */
export type MetricAbout = { readonly kind: MetricKind; readonly unit: string };

/** A metric that is not in the catalogue, as a batch describes it. */
export type MetricDescription = readonly [metric: string, kind: MetricKind, unit: string];

/** How many of them one batch may describe: each takes four values of a message, beside 20,000 series of three. */
export const DESCRIPTIONS_MAX = 5_000;
/** As OpenTelemetry has it (metrics API, instrument unit). */
export const UNIT_LENGTH_MAX = 63;
export const METRIC_LENGTH_MAX = 128;
export const METRIC_PATTERN = /^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$/;
const UNIT_PATTERN = /^[\x21-\x7e]*$/;
/** What begins so is ours, or will be. */
const RESERVED_PATTERN = /^(system|muster|process|container|hw|systemd)(\.|$)/;
/** Of a metric of which nobody said anything. */
export const UNTOLD: MetricAbout = { kind: 'gauge', unit: '' };

/** What a metric is by itself, without what hosts say. */
export function findAbout(metric: string): MetricAbout {
  return findMetric(metric) ?? UNTOLD;
}

export function isMetric(value: unknown): value is string {
  return typeof value === 'string' && value.length <= METRIC_LENGTH_MAX && METRIC_PATTERN.test(value);
}

export function isUnit(value: unknown): value is string {
  return typeof value === 'string' && value.length <= UNIT_LENGTH_MAX && UNIT_PATTERN.test(value);
}

/** Whether a name is one of Muster's own, which nobody else may give to anything. */
export function isReserved(metric: string): boolean {
  return RESERVED_PATTERN.test(metric) || findMetric(metric) !== null;
}

/** Reads what a batch says of custom metrics. What it says of ours is passed over: the catalogue knows better. */
export function readDescriptions(value: unknown): Result<MetricDescription[], string> {
  if (value === undefined || value === null) return ok([]);
  if (!Array.isArray(value)) return err('m must be an array of [metric, kind, unit]');
  if (value.length > DESCRIPTIONS_MAX) return err(`m holds ${value.length}, more than ${DESCRIPTIONS_MAX}`);
  const metrics: MetricDescription[] = [];
  const seen = new Set<string>();
  for (const [at, entry] of value.entries()) {
    const [metric, kind, unit, ...more]: unknown[] = Array.isArray(entry) ? entry : [];
    const isRight = isMetric(metric) && (kind === 'gauge' || kind === 'counter') && isUnit(unit) && more.length === 0;
    if (!isRight) return err(`m[${at}] must be a metric's name, gauge or counter, and a unit`);
    if (seen.has(metric)) return err(`m describes ${metric} twice`);
    seen.add(metric);
    if (!isReserved(metric)) metrics.push([metric, kind, unit]);
  }
  return ok(metrics);
}

/** The unit of a counter's rate. Seconds per second are a ratio. */
export function formatRateUnit(unit: string): string {
  return unit === 's' ? '1' : `${unit}/s`;
}
