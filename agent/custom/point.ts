import type { MetricKind } from '@muster/proto/metric';
import type { Result } from '@muster/proto/result';

import type { Bounds, Bucket } from './histogram.ts';
import type { Refusal } from './refusal.ts';

/**
 * What a data point of others says. `isDelta`: it is how much came since the one before, not how much there is in all, or
 * how it stands.
 */
export type PointValue = NumberValue | Distribution | Summary;
export type NumberValue = {
  readonly kind: 'number';
  readonly as: MetricKind;
  readonly value: number;
  readonly isDelta: boolean;
};
export type Distribution = {
  readonly kind: 'distribution';
  readonly count: number;
  readonly sum: number | null;
  /** Rising; none where only the count is known. */
  readonly buckets: readonly Bucket[];
  readonly bounds: Bounds;
  readonly isDelta: boolean;
};
/** How many quantiles a summary may have; more are a histogram. */
export const QUANTILES_MAX = 10;
export type Summary = {
  readonly kind: 'summary';
  readonly count: number | null;
  readonly sum: number | null;
  readonly quantiles: readonly Quantile[];
};
export type Quantile = { readonly quantile: number; readonly value: number };

/** One data point. The error of its value says why it cannot be taken, null that it says itself that there is none. */
export type Point = {
  /** As others named it. */
  readonly name: string;
  readonly unit: string;
  readonly labels: readonly (readonly [key: string, value: string])[];
  readonly value: Result<PointValue, Refusal | null>;
  /** Since when it counts in all, null where that is not said; left out where it does not, or only one can tell it. */
  readonly origin?: { readonly startNs: number | null };
  /** Who tells it, of those that tell something at once. */
  readonly stream?: string;
  /** When it was; 0, or left out, where that is not said. */
  readonly timeNs?: number;
  /** Where it stands, for whoever mends it. */
  readonly line?: number;
};
