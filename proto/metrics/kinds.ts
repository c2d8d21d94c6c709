/**
 * What a number means. A gauge is a state and is averaged; a counter only rises (until it is reset) and is read as a
 * rate per second.
 */
export type MetricKind = 'gauge' | 'counter';

export type Metric = {
  /** UCUM, as in the OpenTelemetry semantic conventions: `1` is a ratio 0…1, `By` bytes, `{x}` a count of x. */
  readonly unit: string;
  readonly kind: MetricKind;
  /** The shapes its label sets may have; the empty shape is the host as a whole. */
  readonly labels: readonly (readonly string[])[];
  readonly min: number;
  readonly max: number;
  /** Where the kernel says it, and what it means where the name does not tell. */
  readonly source: string;
};

/** The label sets of what is about the host as a whole: none. */
export const ALL: readonly (readonly string[])[] = [[]];
export const ANY = Number.MAX_VALUE;

export function gauge(unit: string, labels: Metric['labels'], max: number, source: string): Metric {
  return { unit, kind: 'gauge', labels, min: 0, max, source };
}

/** A gauge that may be below 0. */
export function signed(unit: string, labels: Metric['labels'], source: string): Metric {
  return { unit, kind: 'gauge', labels, min: -ANY, max: ANY, source };
}

export function counter(unit: string, labels: Metric['labels'], source: string): Metric {
  return { unit, kind: 'counter', labels, min: 0, max: ANY, source };
}
