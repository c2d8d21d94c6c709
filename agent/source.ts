import type { HostEvent } from '@muster/proto/event';
import type { MetricAbout } from '@muster/proto/custom';
import type { MetricName } from '@muster/proto/metric';
import type { Result } from '@muster/proto/result';

declare const custom: unique symbol;
/** The name of a metric that is not ours: whoever makes one has checked it against the wire (METRIC_PATTERN). */
export type CustomMetric = string & { readonly [custom]: true };

/**
 * One number, read now. `labels` is the canonical text of labels.ts, made once and kept: see remember.ts. `about` says of
 * a metric that is not ours what it is; it is the same for all samples of it.
 */
export type Sample = {
  readonly metric: MetricName | CustomMetric;
  readonly labels: string;
  readonly value: number;
  readonly about?: MetricAbout;
};

/**
 * What a source took, and in `remark` what it left out and why, in words that stay the same as long as the facts do.
 * `events` happened since the last reading.
 */
export type Reading = {
  readonly samples: readonly Sample[];
  readonly remark?: string;
  readonly events?: readonly HostEvent[];
};

/** An error says why there is no reading at all, in words that stay the same as long as the facts do. */
export type ReadResult = Result<Reading, string>;

/** One thing that a source can or cannot see, for `doctor`; `next` says what to do so that it can. */
export type Finding = { readonly what: string; readonly next?: string };

/**
 * A part of the host that can be read at any time, one reading after the other. A source that throws is taken for
 * failed, and disturbs no other.
 *
 * One that only reads the kernel's memory answers at once; one that waits for others answers when it can (in half a
 * second, or its samples go with the next tick), and has limits of its own for that. `close` may be cut short.
 */
export type Source = {
  readonly name: string;
  readonly read: () => ReadResult | Promise<ReadResult>;
  /** How often it is read at most; as often as the host is sampled where it does not say. */
  readonly everyMs?: number;
  /** How long a reading may take at most, by those limits, where it needs more than others. */
  readonly answerMsMax?: number;
  /** The share of a core that it may use on average, 0…1, instead of CPU_RATIO_MAX. */
  readonly cpuRatioMax?: number;
  /** The CPU time of what it did beside its readings so far, such as taking in what others send. */
  readonly besideMs?: () => number;
  /** What it can and cannot see of this host, besides what its reading says. */
  readonly diagnose?: () => Promise<readonly Finding[]>;
  /** Resolves when what it looks at beside its readings has been looked at once; for those who read it only once. */
  readonly settle?: () => Promise<void>;
  readonly close?: () => Promise<void>;
};
