import { UNTOLD, type MetricAbout, type MetricDescription } from '@muster/proto/custom';
import type { Log } from '@muster/proto/log';
import { findMetric } from '@muster/proto/metric';

import type { MetricRecord, StateTable } from './store/state.ts';

/** How many custom metrics there may be in the fleet; what others say beyond is a gauge without a unit. */
export const METRICS_MAX = 10_000;
/** Of these, how many one host may bring, so that none fills them all; services of one host have some hundreds. */
export const HOST_METRICS_MAX = 2_000;
/** A description that no host has repeated for so long gives way to one that says otherwise, or where there is no room. */
export const STALE_MS = 3_600_000;
/** How often at most one looks for such, where there is no room. */
export const SWEEP_MS = 60_000;

export type MetricsOptions = {
  readonly table: StateTable<MetricRecord>;
  readonly log: Log;
  readonly now: () => number;
};

/** What the metrics of the fleet are: ours, and those that hosts have described. */
export type Metrics = {
  readonly find: (metric: string) => MetricAbout;
  /** Rises when what `find` says of a metric changes. */
  readonly version: () => number;
  /**
   * Takes in what a host says of its metrics; resolves when it is stored. Of two hosts that disagree the one that was first
   * counts, for all, until nobody has said the same for STALE_MS. Rejects with the fault of the store.
   */
  readonly learn: (host: string, described: readonly MetricDescription[]) => Promise<void>;
};

export function makeMetrics({ table, log, now }: MetricsOptions): Metrics {
  const roster = makeRoster(
    Array.from(table.all(), ({ metric }) => metric),
    now(),
  );
  const told = new Set<string>();

  function tellOnce(event: string, key: string, fields: Readonly<Record<string, unknown>>): void {
    if (told.has(key)) return;
    told.add(key);
    log.warn(event, fields);
  }

  /** Whether it says what is known. */
  function isRepeated([metric, kind, unit]: MetricDescription, { host, nowMs }: Learning): boolean {
    const before = table.get(metric);
    if (before?.kind !== kind || before.unit !== unit) return false;
    roster.note(metric, host, nowMs);
    return true;
  }

  /** Whether it is to be stored; then it counts from now on. Those that give way to it are added to `removed`. */
  function isTaken([metric, kind, unit]: MetricDescription, { host, nowMs, removed }: Learning): boolean {
    if (roster.has(metric)) {
      const before = table.get(metric);
      // What is being stored is not in the table yet.
      const isFree = before === undefined || roster.isStale(metric, nowMs);
      if (isFree) roster.note(metric, host, nowMs);
      else tellOnce('metrics.disputed', metric, { metric, host, is: [before.kind, before.unit], said: [kind, unit] });
      return isFree;
    }
    removed.push(...roster.makeRoom(host, nowMs));
    const lack = roster.findLack(host);
    if (lack === null) roster.note(metric, host, nowMs);
    else if (lack === 'fleet') tellOnce('metrics.full', '', { metricsMax: METRICS_MAX, metric, host });
    else tellOnce('metrics.host-full', `of ${host}`, { metricsMax: HOST_METRICS_MAX, metric, host });
    return lack === null;
  }

  let version = 0;
  return {
    find: (metric) => findMetric(metric) ?? table.get(metric) ?? UNTOLD,
    version: () => version,
    learn: async (host, described) => {
      const learning: Learning = { host, nowMs: now(), removed: [] };
      // What is repeated does not give way to what is new in the same batch.
      const others = described.filter((one) => !isRepeated(one, learning));
      const news = others.filter((one) => isTaken(one, learning));
      for (const [metric, kind, unit] of news) {
        if (table.get(metric) !== undefined) log.info('metrics.changed', { metric, host, kind, unit });
        told.delete(metric);
      }
      for (const metric of learning.removed) told.delete(metric);
      // Those removed first: one of them may be among the news.
      if (learning.removed.length > 0) await table.removeAll(learning.removed);
      if (news.length > 0) await table.putAll(news.map(([metric, kind, unit]) => ({ metric, kind, unit })));
      if (learning.removed.length + news.length > 0) version += 1;
    },
  };
}

type Learning = { readonly host: string; readonly nowMs: number; readonly removed: string[] };
/** `host` is who brought it; null: it was there when the collector started, and nobody has repeated it. */
type Said = { readonly host: string | null; readonly saidMs: number };

/** Which metrics there are, who brought each, and when it was said last; those of before a start count from the start. */
function makeRoster(metrics: readonly string[], startedMs: number) {
  const all = new Map<string, Said>(metrics.map((metric) => [metric, { host: null, saidMs: startedMs }]));
  const counts = new Map<string, number>();
  const sweptMs = new Map<string, number>();

  const count = (host: string | null, by: 1 | -1): void => {
    if (host === null) return;
    const next = (counts.get(host) ?? 0) + by;
    if (next === 0) counts.delete(host);
    else counts.set(host, next);
  };
  const isStale = ({ saidMs }: Said, nowMs: number): boolean => nowMs - saidMs >= STALE_MS;
  const findLack = (host: string): 'host' | 'fleet' | null => {
    if ((counts.get(host) ?? 0) >= HOST_METRICS_MAX) return 'host';
    return all.size >= METRICS_MAX ? 'fleet' : null;
  };

  return {
    has: (metric: string): boolean => all.has(metric),
    isStale(metric: string, nowMs: number): boolean {
      const said = all.get(metric);
      return said !== undefined && isStale(said, nowMs);
    },
    findLack,
    /** A host says it. It stays with the one that brought it, unless that has fallen silent. */
    note(metric: string, host: string, nowMs: number): void {
      const before = all.get(metric);
      const owner = before === undefined || isStale(before, nowMs) ? host : (before.host ?? host);
      count(before?.host ?? null, -1);
      count(owner, 1);
      all.set(metric, { host: owner, saidMs: nowMs });
    },
    /** Where a host has no room, those give way that are stale: its own where it has its share, else all. */
    makeRoom(host: string, nowMs: number): readonly string[] {
      const lack = findLack(host);
      const place = lack === 'host' ? host : '';
      if (lack === null || Math.abs(nowMs - (sweptMs.get(place) ?? -Infinity)) < SWEEP_MS) return [];
      sweptMs.set(place, nowMs);
      const stale = [...all].filter(([, said]) => isStale(said, nowMs) && (lack === 'fleet' || said.host === host));
      for (const [metric, said] of stale) {
        all.delete(metric);
        count(said.host, -1);
      }
      return stale.map(([metric]) => metric);
    },
  };
}
