import type { HostRow, HostStatus, LatestValue } from '@muster/proto/api';
import { SERIES_MAX, type Batch, type Inventory, type Series } from '@muster/proto/batch';
import { formatRateUnit, type MetricAbout } from '@muster/proto/custom';
import { counterRise, findMetric as findOurs } from '@muster/proto/metric';

import type { HeardHost, StoredValue } from '../domain/samples.ts';
import { judgeStatus, makeHostRow, type Ended } from '../domain/fleet.ts';

/** A value that nobody has renewed for this long no longer belongs to its host: the disk or the device is gone. */
const FORGET_MS = 10 * 60_000;

/** How often the series of a host are looked through for such. */
const SWEEP_MS = 60_000;

/** Of a batch with more ticks than this only the newest are shown live; the rest is read from the store. */
const LIVE_TICKS_MAX = 10;

type SeriesState = {
  readonly metric: string;
  /** Of another metric than ours it may change. */
  about: MetricAbout;
  readonly isOurs: boolean;
  readonly labels: string;
  tsMs: number;
  raw: number;
  value: number | null;
};

type HostState = {
  readonly host: string;
  name: string;
  inventory: Inventory | null;
  /** The newest three ticks that arrived since this process began. */
  recentMs: readonly number[];
  lastMs: number | null;
  arrivedMs: number | null;
  everyMs: number | null;
  ended: Ended | null;
  clockOffsetMs: number | null;
  readonly series: Map<string, SeriesState>;
  /** The states of the series that a batch named last, and of which catalogue: the next one names the same, as a rule. */
  named: {
    readonly list: readonly Series[];
    readonly version: number;
    readonly states: readonly (SeriesState | null)[];
  };
  sweptMs: number;
};

/** What any metric is, ours or another; `version` rises when that changes of another. */
export type Catalogue = { readonly find: (metric: string) => MetricAbout; readonly version: () => number };

/** The newest values of every host, in memory: what the live view and the host list are made of. */
export type Latest = ReturnType<typeof makeLatest>;

export function makeLatest(catalogue: Catalogue) {
  const hosts = new Map<string, HostState>();
  return {
    /** Makes a host known, or gives it another name. */
    addHost(host: string, name: string, inventory: Inventory | null): void {
      const known = hosts.get(host);
      if (known === undefined) hosts.set(host, makeHostState(host, name, inventory));
      else Object.assign(known, { name, inventory: inventory ?? known.inventory });
    },
    /** Says why nothing of a host is taken, or that it is again. */
    setEnded(host: string, ended: Ended | null): void {
      const state = hosts.get(host);
      if (state !== undefined) state.ended = ended;
    },
    /** Brings back what was known before a restart. A counter has a rate again at its next sample. */
    restore({ host, metric, labels, tsMs, value }: StoredValue, nowMs: number): void {
      const state = hosts.get(host);
      if (state === undefined) return;
      const series = findSeries(state, [metric, labels], catalogue);
      if (series !== null && tsMs > series.tsMs) stepSeries(series, tsMs, value);
      state.lastMs = Math.max(state.lastMs ?? 0, tsMs);
      // When it arrived is not stored; its tick is near that, unless the host's clock was ahead.
      state.arrivedMs = Math.min(state.lastMs, nowMs);
    },
    /** Brings back when a host was heard, whatever it said; after its values. */
    restoreHeard({ host, lastMs, arrivedMs }: HeardHost, nowMs: number): void {
      const state = hosts.get(host);
      if (state === undefined) return;
      state.lastMs = Math.max(state.lastMs ?? 0, lastMs);
      state.arrivedMs = Math.min(arrivedMs, nowMs); // a clock may have been set back
    },
    /**
     * Takes in a batch and gives back the values to show: those newer than what is known, of the newest ticks. None
     * for a batch out of a backlog, or while nobody looks.
     */
    apply(host: string, batch: Batch, nowMs: number, isShown = true): readonly LatestValue[] {
      const state = hosts.get(host);
      return state === undefined ? [] : applyBatch(state, batch, { catalogue, nowMs, isShown });
    },
    hosts: (): readonly string[] => [...hosts.keys()],
    has: (host: string): boolean => hosts.has(host),
    row(host: string, nowMs: number): HostRow | null {
      const state = hosts.get(host);
      return state === undefined ? null : makeRow(state, nowMs);
    },
    status(host: string, nowMs: number): HostStatus | null {
      const state = hosts.get(host);
      return state === undefined ? null : judgeStatus(state, nowMs);
    },
    rows: (nowMs: number): readonly HostRow[] => Array.from(hosts.values(), (state) => makeRow(state, nowMs)),
    inventory: (host: string): Inventory | null => hosts.get(host)?.inventory ?? null,
    values: (host: string): readonly LatestValue[] =>
      Array.from(hosts.get(host)?.series.values() ?? [], (series) => showSeries(series, catalogue)),
  };
}

const NONE_NAMED: HostState['named'] = { list: [], version: 0, states: [] };

function makeHostState(host: string, name: string, inventory: Inventory | null): HostState {
  const heard = { recentMs: [], lastMs: null, arrivedMs: null, everyMs: null, clockOffsetMs: null };
  return { host, name, inventory, ...heard, ended: null, series: new Map(), named: NONE_NAMED, sweptMs: 0 };
}

function makeRow(state: HostState, nowMs: number): HostRow {
  const labels = state.inventory?.labels ?? {};
  return makeHostRow({ ...state, labels, values: state.series.values() }, nowMs);
}

type Knowing = { readonly catalogue: Catalogue; readonly nowMs: number; readonly isShown: boolean };

function applyBatch(state: HostState, batch: Batch, { catalogue, nowMs, isShown }: Knowing): LatestValue[] {
  // Whatever its ticks say: a host with a wrong clock is not silent.
  state.arrivedMs = nowMs;
  state.clockOffsetMs = batch.sentMs - nowMs;
  if (batch.info !== undefined) state.inventory = batch.info;
  const tickMs = batch.ticksMs.at(-1);
  if (tickMs === undefined || (state.lastMs !== null && tickMs <= state.lastMs)) return [];
  const newerMs = batch.ticksMs.filter((tick) => tick > (state.lastMs ?? -1));
  state.recentMs = [...state.recentMs, ...newerMs].slice(-3);
  state.everyMs = readInterval(state.recentMs);
  state.lastMs = tickMs;
  const changed: LatestValue[] = [];
  const { ticksMs, values } = batch;
  const ticks = ticksMs.length;
  const states = findNamed(state, batch.series, catalogue);
  // By index, for this sees every sample: an iterator makes an object of each.
  for (let row = 0; row < states.length; row += 1) {
    const series = states[row] ?? null;
    if (series === null) continue;
    const start = row * ticks;
    for (let column = isShown ? 0 : findLastTwo(values, start, ticks); column < ticks; column += 1) {
      const raw = values[start + column] ?? NaN;
      const tsMs = ticksMs[column] ?? NaN;
      if (Number.isNaN(raw) || tsMs <= series.tsMs) continue;
      stepSeries(series, tsMs, raw);
      if (isShown && column >= ticks - LIVE_TICKS_MAX) changed.push(showSeries(series, catalogue));
    }
  }
  if (tickMs - state.sweptMs >= SWEEP_MS) sweep(state, tickMs);
  return changed;
}

/** From where on there are two samples in a row of values: what is shown of a series follows from its last two. */
function findLastTwo(values: Float64Array, start: number, ticks: number): number {
  let found = 0;
  for (let column = ticks - 1; column > 0; column -= 1) {
    if (!Number.isNaN(values[start + column])) found += 1;
    if (found === 2) return column;
  }
  return 0;
}

function sweep(state: HostState, tickMs: number): void {
  const { size } = state.series;
  for (const [key, series] of state.series) if (tickMs - series.tsMs > FORGET_MS) state.series.delete(key);
  if (state.series.size < size) state.named = NONE_NAMED;
  state.sweptMs = tickMs;
}

/** The lesser of the newest two distances between ticks, because one that spans an outage is no interval. */
function readInterval([first, second, third]: readonly number[]): number | null {
  if (first === undefined || second === undefined) return null;
  return third === undefined ? second - first : Math.min(second - first, third - second);
}

/** The states of a list of series; null in the place of one that is too many. */
function findNamed(state: HostState, list: readonly Series[], catalogue: Catalogue): readonly (SeriesState | null)[] {
  const version = catalogue.version();
  if (state.named.list !== list || state.named.version !== version)
    state.named = { list, version, states: list.map((one) => findSeries(state, one, catalogue)) };
  return state.named.states;
}

/** As the catalogue has it now; null when the host has as many series as one may have. */
function findSeries(state: HostState, [metric, labels]: Series, { find }: Catalogue): SeriesState | null {
  const key = `${metric} ${labels}`;
  const about = find(metric);
  let series = state.series.get(key);
  if (series === undefined) {
    if (state.series.size >= SERIES_MAX) return null;
    series = { metric, about, isOurs: findOurs(metric) !== null, labels, tsMs: -1, raw: NaN, value: null };
    state.series.set(key, series);
  }
  series.about = about;
  return series;
}

function stepSeries(series: SeriesState, tsMs: number, raw: number): void {
  if (series.about.kind === 'counter') {
    const rise = counterRise(series.raw, raw);
    series.value = rise === null ? null : (rise * 1000) / (tsMs - series.tsMs);
  } else series.value = raw;
  series.tsMs = tsMs;
  series.raw = raw;
}

function showSeries({ metric, isOurs, labels, tsMs, value }: SeriesState, { find }: Catalogue): LatestValue {
  if (isOurs) return { metric, labels, tsMs, value };
  const { kind, unit } = find(metric);
  return { metric, labels, tsMs, value, custom: { kind, unit: kind === 'counter' ? formatRateUnit(unit) : unit } };
}
