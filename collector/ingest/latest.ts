import type { HostRow, HostStatus, LatestValue } from '@muster/proto/api';
import type { Batch, Inventory } from '@muster/proto/batch';
import { counterRise, findMetric } from '@muster/proto/metric';

import type { StoredValue } from '../domain/samples.ts';
import { judgeStatus, makeHostRow } from '../domain/fleet.ts';

/** A value that nobody has renewed for this long no longer belongs to its host: the disk or the device is gone. */
const FORGET_MS = 10 * 60_000;

type SeriesState = {
  readonly metric: string;
  readonly labels: string;
  tsMs: number;
  raw: number;
  value: number | null;
};

type HostState = {
  readonly host: string;
  name: string;
  inventory: Inventory | null;
  lastMs: number | null;
  arrivedMs: number | null;
  everyMs: number | null;
  readonly series: Map<string, SeriesState>;
};

/** The newest values of every host, in memory: what the live view and the host list are made of. */
export type Latest = ReturnType<typeof makeLatest>;

export function makeLatest() {
  const hosts = new Map<string, HostState>();
  return {
    /** Makes a host known, or gives it another name. */
    addHost(host: string, name: string, inventory: Inventory | null): void {
      const known = hosts.get(host);
      if (known === undefined) hosts.set(host, makeHostState(host, name, inventory));
      else Object.assign(known, { name, inventory: inventory ?? known.inventory });
    },
    /** Brings back what was known before a restart. A counter has a rate again at its next sample. */
    restore({ host, metric, labels, tsMs, value }: StoredValue): void {
      const state = hosts.get(host);
      if (state === undefined) return;
      stepSeries(findSeries(state, metric, labels), tsMs, value);
      state.lastMs = Math.max(state.lastMs ?? 0, tsMs);
      state.arrivedMs = state.lastMs;
    },
    /** Takes in a batch and gives back the values that are newer than those known; none for a batch out of a backlog. */
    apply(host: string, batch: Batch, nowMs: number): readonly LatestValue[] {
      const state = hosts.get(host);
      return state === undefined ? [] : applyBatch(state, batch, nowMs);
    },
    hosts: (): readonly string[] => [...hosts.keys()],
    has: (host: string): boolean => hosts.has(host),
    row(host: string, nowMs: number): HostRow | null {
      const state = hosts.get(host);
      return state === undefined ? null : makeHostRow({ ...state, values: state.series.values() }, nowMs);
    },
    status(host: string, nowMs: number): HostStatus | null {
      const state = hosts.get(host);
      return state === undefined ? null : judgeStatus(state, nowMs);
    },
    inventory: (host: string): Inventory | null => hosts.get(host)?.inventory ?? null,
    values: (host: string): readonly LatestValue[] =>
      Array.from(hosts.get(host)?.series.values() ?? [], ({ metric, labels, tsMs, value }) => ({
        metric,
        labels,
        tsMs,
        value,
      })),
  };
}

function makeHostState(host: string, name: string, inventory: Inventory | null): HostState {
  return { host, name, inventory, lastMs: null, arrivedMs: null, everyMs: null, series: new Map() };
}

function applyBatch(state: HostState, batch: Batch, nowMs: number): LatestValue[] {
  if (batch.info !== undefined) state.inventory = batch.info;
  const tickMs = batch.ticksMs.at(-1);
  const lastMs = state.lastMs;
  if (tickMs === undefined || (lastMs !== null && tickMs <= lastMs)) return [];
  const previousMs = batch.ticksMs.at(-2) ?? lastMs;
  // A distance over an outage is not an interval; the one known before stays.
  if (previousMs !== null && (state.everyMs === null || tickMs - previousMs < 10 * state.everyMs)) {
    state.everyMs = tickMs - previousMs;
  }
  state.lastMs = tickMs;
  state.arrivedMs = nowMs;
  const changed: LatestValue[] = [];
  const ticks = batch.ticksMs.length;
  for (const [row, [metric, labels]] of batch.series.entries()) {
    const series = findSeries(state, metric, labels);
    for (const [column, tsMs] of batch.ticksMs.entries()) {
      const raw = batch.values[row * ticks + column] ?? NaN;
      if (Number.isNaN(raw) || tsMs <= series.tsMs) continue;
      stepSeries(series, tsMs, raw);
      changed.push({ metric, labels, tsMs, value: series.value });
    }
  }
  for (const [key, series] of state.series) if (tickMs - series.tsMs > FORGET_MS) state.series.delete(key);
  return changed;
}

function findSeries(state: HostState, metric: string, labels: string): SeriesState {
  const key = `${metric} ${labels}`;
  let series = state.series.get(key);
  if (series === undefined) {
    series = { metric, labels, tsMs: -1, raw: NaN, value: null };
    state.series.set(key, series);
  }
  return series;
}

function stepSeries(series: SeriesState, tsMs: number, raw: number): void {
  if (findMetric(series.metric)?.kind === 'counter') {
    const rise = counterRise(series.raw, raw);
    series.value = rise === null ? null : (rise * 1000) / (tsMs - series.tsMs);
  } else series.value = raw;
  series.tsMs = tsMs;
  series.raw = raw;
}
