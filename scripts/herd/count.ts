import { quantile } from '../quantile.ts';

/** Things that happened, by the second of the wall clock in which they did: Unix seconds → how many. */
export type Seconds = ReadonlyMap<number, number>;

/** How an agent came back: all instants are Unix milliseconds. */
export type Return = {
  /** Its first acknowledgement since the outage. */
  readonly liveMs: number;
  /** When all from before that was acknowledged; null: not yet. */
  readonly drainedMs: number | null;
  /** What each of its tries met until then. */
  readonly tries: readonly Try[];
};

/** A request, from when it was made to what became of it: `200`, `503, Retry-After 2`, `ECONNREFUSED`. */
export type Try = {
  readonly madeMs: number;
  /** When it was on its way, on a connection; null: it never was. */
  readonly sentMs: number | null;
  readonly endedMs: number;
  readonly end: string;
};

/** What the agents of one generator did; all times are Unix milliseconds. */
export type Counts = {
  /** Requests on their way, whatever became of them. */
  readonly requests: Seconds;
  /** Samples that were acknowledged. */
  readonly samples: Seconds;
  readonly statuses: ReadonlyMap<number, number>;
  /** Events of the agents' logs that say that something was lost, or that somebody must act. */
  readonly errors: ReadonlyMap<string, number>;
  /** Of each agent that has had an acknowledgement since the outage. */
  readonly returns: readonly Return[];
  /** Of this process. */
  readonly cpuMs: number;
  readonly rssBytes: number;
  /** The longest that its event loop stood still since the outage: what it measures is off by so much. */
  readonly stalledMs: number;
};

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

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
