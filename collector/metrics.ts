import { UNTOLD, type MetricAbout, type MetricDescription } from '@muster/proto/custom';
import type { Log } from '@muster/proto/log';
import { findMetric } from '@muster/proto/metric';

import type { MetricRecord, StateTable } from './store/state.ts';

/** How many custom metrics there may be in the fleet; what others say beyond is a gauge without a unit. */
export const METRICS_MAX = 10_000;
/** A description that no host has repeated for so long gives way to one that says otherwise. */
export const STALE_MS = 3_600_000;

export type MetricsOptions = {
  readonly table: StateTable<MetricRecord>;
  readonly log: Log;
  readonly now: () => number;
};

/** What the metrics of the fleet are: ours, and those that hosts have described. */
export type Metrics = {
  readonly find: (metric: string) => MetricAbout;
  /**
   * Takes in what a host says of its metrics; resolves when it is stored. Of two hosts that disagree the one that was first
   * counts, for all, until nobody has said the same for STALE_MS.
   */
  readonly learn: (host: string, described: readonly MetricDescription[]) => Promise<void>;
};

export function makeMetrics({ table, log, now }: MetricsOptions): Metrics {
  /** When each description was last repeated; those of before a start count from the start. */
  const seenMs = new Map<string, number>();
  const startedMs = now();
  const told = new Set<string>();
  const known = new Set(Array.from(table.all(), ({ metric }) => metric));

  function judge([metric, kind, unit]: MetricDescription, host: string, nowMs: number): 'put' | 'keep' {
    const before = table.get(metric);
    if (before === undefined) {
      // One that is being stored is counted already.
      if (known.size < METRICS_MAX || known.has(metric)) return 'put';
      tellOnce('metrics.full', '', { metricsMax: METRICS_MAX, metric, host });
      return 'keep';
    }
    if (before.kind === kind && before.unit === unit) {
      seenMs.set(metric, nowMs);
      return 'keep';
    }
    if (nowMs - (seenMs.get(metric) ?? startedMs) >= STALE_MS) return 'put';
    tellOnce('metrics.disputed', metric, { metric, host, is: [before.kind, before.unit], said: [kind, unit] });
    return 'keep';
  }

  function tellOnce(event: string, key: string, fields: Readonly<Record<string, unknown>>): void {
    if (told.has(key)) return;
    told.add(key);
    log.warn(event, fields);
  }

  return {
    find: (metric) => findMetric(metric) ?? table.get(metric) ?? UNTOLD,
    learn: async (host, described) => {
      const nowMs = now();
      const news = described.filter((one) => judge(one, host, nowMs) === 'put');
      if (news.length === 0) return;
      for (const [metric, kind, unit] of news) {
        if (table.get(metric) !== undefined) log.info('metrics.changed', { metric, host, kind, unit });
        known.add(metric);
        seenMs.set(metric, nowMs);
        told.delete(metric);
      }
      await table.putAll(news.map(([metric, kind, unit]) => ({ metric, kind, unit })));
    },
  };
}
