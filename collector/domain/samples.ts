/** Texts that repeat: `texts[indexes[i]]` is the text of row i. */
export type Dictionary = { readonly texts: readonly string[]; readonly indexes: Uint32Array };

/** A window of five minutes, on the wall clock: what is stored together of one series, and the shortest tier of the rollup. */
export const WINDOW_MS = 300_000;

/** What is told of the past at once spans no more: who reads looks so far back for the row that a tick is in. */
export const HISTORY_DAYS_MAX = 32;

/** Lists of many rows, one after the other; `ends[i]` is where that of row i ends. */
export type Lists<T> = { readonly ends: Float64Array; readonly values: T };

/**
 * Batches as columns, a row for each window that a batch has ticks in, and one of a batch without any. `startS` is the
 * beginning of the window, Unix seconds; `offsetsMs` are the ticks, counted from there. Each row lists its series, and
 * `values` of each of them, one for each tick, NaN where there is none. `about` says of each row which batch it is of.
 */
export type ArrivalBlock = {
  readonly rows: number;
  readonly samples: number;
  readonly host: Dictionary;
  readonly about: Readonly<Record<BatchColumn, Float64Array>>;
  readonly startS: Uint32Array;
  readonly offsetsMs: Lists<Uint32Array>;
  readonly metrics: Lists<Dictionary>;
  readonly labels: Lists<Dictionary>;
  readonly values: Lists<Float64Array> & { readonly innerEnds: Float64Array };
};

/** What happened on a host, as it is stored. `body` is the event without its kind and time, as JSON. */
export type EventRow = { readonly host: string; readonly tsMs: number; readonly kind: string; readonly body: string };

/**
 * What is said of a batch for counting: which records of which spool it holds. `everyMs` is the interval that the agent
 * kept, 0 where it did not say. `atMs` is the newest of its ticks in time, or when it arrived where it has none.
 * `isNew` is 1 where all its ticks are later than any that was stored of the host.
 */
export type BatchColumn =
  | 'epoch'
  | 'since'
  | 'seq'
  | 'atMs'
  | 'everyMs'
  | 'samples'
  | 'quarantined'
  | 'receivedMs'
  | 'isNew';

/** Why a sample was set aside: its tick is too far ahead or too old, or its metric cannot have the value. */
export type QuarantineReason = 'future' | 'past' | 'range';

/** A sample that cannot stand among the others. `tickMs` is whatever the host said, up to 2^53. */
export type QuarantineRow = {
  readonly host: string;
  readonly metric: string;
  readonly labels: string;
  readonly tickMs: number;
  readonly value: number;
  readonly reason: QuarantineReason;
  readonly receivedMs: number;
};

/** The newest sample of a series, as the store has it. */
export type StoredValue = {
  readonly host: string;
  readonly metric: string;
  readonly labels: string;
  readonly tsMs: number;
  readonly value: number;
};

/** When a host was last heard: its newest tick by its own clock, and when that or another batch arrived. */
export type HeardHost = { readonly host: string; readonly lastMs: number; readonly arrivedMs: number };
