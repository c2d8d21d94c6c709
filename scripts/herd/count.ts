/** Things that happened, by the second of the wall clock in which they did: Unix seconds → how many. */
export type Seconds = ReadonlyMap<number, number>;

/** What the agents of one generator did; all times are Unix milliseconds. */
export type Counts = {
  /** Requests on their way, whatever became of them. */
  readonly requests: Seconds;
  /** Samples that were acknowledged. */
  readonly samples: Seconds;
  readonly statuses: ReadonlyMap<number, number>;
  /** Events of the agents' logs that say that something was lost, or that somebody must act. */
  readonly errors: ReadonlyMap<string, number>;
  /** When each agent had its first acknowledgement after the outage, and when all from before it was acknowledged. */
  readonly liveMs: readonly number[];
  readonly drainedMs: readonly number[];
  /** Of this process. */
  readonly cpuMs: number;
  readonly rssBytes: number;
};

export function countIn<K>(counts: Map<K, number>, key: K, more = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + more);
}

export function joinCounts<K>(all: readonly ReadonlyMap<K, number>[]): ReadonlyMap<K, number> {
  const joined = new Map<K, number>();
  for (const counts of all) for (const [key, count] of counts) countIn(joined, key, count);
  return joined;
}

export type Rate = { readonly mean: number; readonly p50: number; readonly peak: number };

/**
 * What a second brought on average, at the median and at most, over every whole bucket of `bucketSeconds` between two
 * instants. Buckets begin at multiples on the wall clock, as the agents' pushes do.
 */
export function rateOf(seconds: Seconds, [fromMs, toMs]: readonly [number, number], bucketSeconds: number): Rate {
  const bucketMs = 1_000 * bucketSeconds;
  const first = Math.ceil(fromMs / bucketMs);
  const rates = Array.from({ length: Math.max(0, Math.floor(toMs / bucketMs) - first) }, (_, i) => {
    const start = (first + i) * bucketSeconds;
    return sum(Array.from({ length: bucketSeconds }, (__, at) => seconds.get(start + at) ?? 0)) / bucketSeconds;
  });
  return { mean: sum(rates) / Math.max(1, rates.length), p50: quantile(rates, 0.5), peak: Math.max(0, ...rates) };
}

/** The smallest value that this share of all do not exceed; NaN of none. */
export function quantile(values: readonly number[], ratio: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(ratio * sorted.length) - 1)] ?? Number.NaN;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
