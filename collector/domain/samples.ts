/** Texts that repeat: `texts[indexes[i]]` is the text of row i. */
export type Dictionary = { readonly texts: readonly string[]; readonly indexes: Uint32Array };

/** Samples as columns, row i being one sample; every column has `rows` rows. `tsMs` is whole Unix milliseconds. */
export type SampleBlock = {
  readonly rows: number;
  readonly metric: Dictionary;
  readonly host: Dictionary;
  readonly labels: Dictionary;
  readonly tsMs: Float64Array;
  readonly value: Float64Array;
};

/** What happened on a host, as it is stored. `body` is the event without its kind and time, as JSON. */
export type EventRow = { readonly host: string; readonly tsMs: number; readonly kind: string; readonly body: string };

/** The newest sample of a series, as the store has it. */
export type StoredValue = {
  readonly host: string;
  readonly metric: string;
  readonly labels: string;
  readonly tsMs: number;
  readonly value: number;
};
