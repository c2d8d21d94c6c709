/**
 * Values of which quantiles are wanted, in buckets whose bounds grow by a constant factor: each quantile is off by 1 % of
 * itself at most, whatever the values are. Those up to VALUE_MIN count as 0, those above VALUE_MAX as that; the
 * smallest and the largest one are exact. 8 KiB, however many there are. Source: Masson, Rim, Lee, "DDSketch", VLDB 2019, section 2.
 */
export type Sketch = {
  /** A value of 0 or more, as many times as `weight` says. */
  readonly add: (value: number, weight: number) => void;
  /** Of all values since the last `clear`; NaN where there are none. */
  readonly quantile: (quantile: number) => number;
  readonly count: () => number;
  readonly clear: () => void;
};

const ERROR_RATIO = 0.01;
const GAMMA = (1 + ERROR_RATIO) / (1 - ERROR_RATIO);
const LOG_GAMMA = Math.log(GAMMA);
/** A nanosecond where values are seconds, and a billion of whatever they are. */
export const VALUE_MIN = 1e-9;
export const VALUE_MAX = 1e9;
const FIRST = Math.ceil(Math.log(VALUE_MIN) / LOG_GAMMA);
const BUCKETS = Math.ceil(Math.log(VALUE_MAX) / LOG_GAMMA) - FIRST + 1;

export function makeSketch(): Sketch {
  const buckets = new Float32Array(BUCKETS);
  let [low, high, zeros, count, min, max] = [BUCKETS, -1, 0, 0, Infinity, 0];
  return {
    add: (value, weight) => {
      count += weight;
      if (value > max) max = value;
      if (value < min) min = value;
      if (value <= VALUE_MIN) {
        zeros += weight;
        return;
      }
      const bucket = Math.min(BUCKETS - 1, Math.max(0, Math.ceil(Math.log(value) / LOG_GAMMA) - FIRST));
      buckets[bucket] = (buckets[bucket] ?? 0) + weight;
      if (bucket < low) low = bucket;
      if (bucket > high) high = bucket;
    },
    quantile: (quantile) => {
      if (count === 0) return NaN;
      if (quantile >= 1) return max;
      let left = quantile * count - zeros;
      if (left <= 0 && zeros > 0) return 0;
      for (let bucket = low; bucket <= high; bucket += 1) {
        left -= buckets[bucket] ?? 0;
        // Within the bucket the value that is at most ERROR_RATIO from both of its bounds.
        if (left <= 0) return Math.max(min, Math.min(max, (2 * GAMMA ** (bucket + FIRST)) / (GAMMA + 1)));
      }
      return max;
    },
    count: () => count,
    clear: () => {
      if (high >= low) buckets.fill(0, low, high + 1);
      [low, high, zeros, count, min, max] = [BUCKETS, -1, 0, 0, Infinity, 0];
    },
  };
}
