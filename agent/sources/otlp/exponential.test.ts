import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makeIntake } from '../../custom/intake.ts';
import { makeSeriesPool } from '../../custom/series.ts';
import { parseExport } from './export.ts';

/** As many as the SDKs make; fewer bring the change of scale about sooner. */
const BUCKETS_MAX = 8;

/** Counts as an SDK does: when the values do not fit into its buckets, two become one. */
function makeHistogram() {
  const values: number[] = [];
  const indexOf = (value: number, scale: number): number => Math.ceil(Math.log2(value) * 2 ** scale) - 1;
  return {
    add: (...more: readonly number[]) => void values.push(...more),
    point: () => {
      let scale = 5;
      const spread = () => indexOf(Math.max(...values), scale) - indexOf(Math.min(...values), scale);
      while (spread() >= BUCKETS_MAX) scale -= 1;
      const offset = indexOf(Math.min(...values), scale);
      const bucketCounts = Array.from({ length: spread() + 1 }, (_, i) =>
        String(values.filter((value) => indexOf(value, scale) === offset + i).length),
      );
      return { count: String(values.length), sum: 1, scale, zeroCount: '0', positive: { offset, bucketCounts } };
    },
  };
}

function makeSmall() {
  const intake = makeIntake(makeSeriesPool().open('otlp', 10));
  return {
    /** Gives the quantiles that an export makes. */
    export: (point: unknown): readonly number[] => {
      const exponentialHistogram = { dataPoints: [point], aggregationTemporality: 2 };
      const metrics = [{ name: 'e', exponentialHistogram }];
      const points = parseExport({ resourceMetrics: [{ scopeMetrics: [{ metrics }] }] });
      expect(points.ok && intake.take(points.value, 0)).toEqual([]);
      return intake.read(0).flatMap(({ metric, value }) => (metric === 'e' ? [value] : []));
    },
  };
}

test('quantiles of an exponential histogram are of the last interval, whatever new extreme widens its buckets', () => {
  const histogram = makeHistogram();
  const { export: tell } = makeSmall();
  histogram.add(...Array.from({ length: 1000 }, () => 1));
  expect(tell(histogram.point())).toEqual([]);
  histogram.add(5000, 5000, 6000);
  const [median = 0] = tell(histogram.point());
  expect(median).toBeGreaterThan(4096); // of all since the beginning it would be 1
  histogram.add(0.001, 0.001, 0.001);
  const largest = tell(histogram.point()).at(-1);
  expect(largest).toBeLessThan(0.01);
});

test('quantiles of an interval lie where its values are, to a bucket', () => {
  const value = fc.double({ min: 1e-6, max: 1e6, noNaN: true });
  const some = fc.array(value, { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(some, some, (first, second) => {
      const histogram = makeHistogram();
      const { export: tell } = makeSmall();
      histogram.add(...first);
      tell(histogram.point());
      histogram.add(...second);
      const point = histogram.point();
      const width = 2 ** (2 ** -point.scale);
      const quantiles = tell(point);
      expect(quantiles).toHaveLength(4);
      for (const quantile of quantiles) {
        expect(quantile).toBeGreaterThan(Math.min(...second) / width / 1.0001);
        expect(quantile).toBeLessThan(Math.max(...second) * width * 1.0001);
      }
    }),
  );
});
