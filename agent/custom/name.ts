import { isReserved, METRIC_LENGTH_MAX } from '@muster/proto/custom';
import { err, ok, type Result } from '@muster/proto/result';

import type { Refusal } from './refusal.ts';

/** Room for what is put behind it, `.count` or `.sum`. */
export const NAME_LENGTH_MAX = METRIC_LENGTH_MAX - '.count'.length;
const PRINTABLE_PATTERN = /^[\x20-\x7e]+$/;

/**
 * The name of a metric as it is stored, of the name that others gave it. It stays as it is, in lower case; every run of
 * characters that are no letter, digit, dot or underscore becomes one underscore; empty words between dots are left out:
 * `http_requests_total` as it is, `Api.Request-Time` becomes `api.request_time`, `job:rate5m` `job_rate5m`. Names that
 * are then the same are the same metric. One that does not begin with a letter, or holds other than printable ASCII, is
 * refused.
 */
export function toMetricName(name: string): Result<string, Refusal> {
  if (name.length > NAME_LENGTH_MAX || !PRINTABLE_PATTERN.test(name)) return err('name');
  const words = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9._]+/g, '_')
    .split('.')
    .filter((word) => word !== '');
  const metric = words.join('.');
  if (!/^[a-z]/.test(metric)) return err('name');
  return isReserved(metric) ? err('reserved') : ok(metric);
}

/** Of OpenTelemetry, Prometheus and people, as UCUM has it. */
const UNITS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    seconds: 's',
    milliseconds: 'ms',
    bytes: 'By',
    B: 'By',
    celsius: 'Cel',
    volts: 'V',
    amperes: 'A',
    joules: 'J',
    watts: 'W',
    hertz: 'Hz',
    meters: 'm',
    grams: 'g',
  }),
);

/** The unit that others gave a metric, or '' where they gave none that could be one. A plain `1` says nothing: it may count. */
export function toUnit(unit: string): string {
  const known = UNITS.get(unit) ?? unit;
  return known === '1' || !/^[\x21-\x7e]{1,63}$/.test(known) ? '' : known;
}

/**
 * The unit that a name says in the manner of Prometheus, '' where it says none: `_seconds`, `_bytes_total`, `_ratio`.
 * Source: Prometheus documentation, Metric and label naming, Base units.
 */
export function parseUnitOfName(name: string): string {
  const word = /_([a-z]+?)(?:_total)?$/.exec(name)?.[1] ?? '';
  return word === 'ratio' ? '1' : (UNITS.get(word) ?? '');
}
