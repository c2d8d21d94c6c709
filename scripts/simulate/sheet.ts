import type { Series } from '@muster/proto/batch';
import type { MetricDescription } from '@muster/proto/custom';
import { formatLabels, type Labels } from '@muster/proto/labels';
import { findMetric, type MetricName } from '@muster/proto/metric';

/** The series of one host and the newest value of each, in one place of memory: counters go on from what is there. */
export type Sheet = {
  /** Adds a series of the catalogue; its place. */
  readonly add: (metric: MetricName, labels?: Labels) => number;
  /** Adds one of a metric that a service made up. */
  readonly addCustom: (described: MetricDescription, labels: Labels) => number;
  readonly series: readonly Series[];
  readonly described: readonly MetricDescription[];
  /** NaN where there is none now. Of the length of `series` from the first look on. */
  readonly values: () => Float64Array;
};

export function makeSheet(): Sheet {
  const series: Series[] = [];
  const described = new Map<string, MetricDescription>();
  let values = new Float64Array();
  const append = (metric: string, labels: Labels): number => series.push([metric, formatLabels(labels)]) - 1;
  return {
    add(metric, labels = {}) {
      if (findMetric(metric) === null) throw new Error(`${metric} is not in the catalogue`);
      return append(metric, labels);
    },
    addCustom(one, labels) {
      described.set(one[0], one);
      return append(one[0], labels);
    },
    series,
    get described() {
      return [...described.values()];
    },
    values() {
      if (values.length < series.length) {
        const before = values;
        values = new Float64Array(series.length);
        values.set(before);
      }
      return values;
    },
  };
}
