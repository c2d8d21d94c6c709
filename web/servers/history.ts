import type { LatestValue } from '@muster/proto/api';
import type { MetricName } from '@muster/proto/metric';
import { type Accessor, createEffect, createMemo, createSignal, on } from 'solid-js';

import type { App } from '../app-context.ts';
import { CHART_SPECS } from './chart-specs.ts';
import { isLive, type Range, refreshMs } from './range.ts';
import { appendValue, makeWindow, type SeriesWindow, trimWindow } from './window.ts';

/** After a gap the agent sends what it kept; by then it should be there. */
const BACKFILL_MS = 10_000;
/** Without a live value for so long, the clock moves the charts. */
const IDLE_MS = 2000;

export type MetricState = 'loading' | 'ready' | { readonly fault: string };

export type History = {
  readonly state: (metric: MetricName) => MetricState;
  /** What is known of a metric; null before it was first read. Not reactive: `revision` says when to look again. */
  readonly readWindow: (metric: MetricName) => SeriesWindow | null;
  readonly revision: (metric: MetricName) => number;
  /** Moves with the clock while no live values do, so that a live chart slides on and shows its silence. */
  readonly idleMs: Accessor<number>;
  /** Adds live values, on ranges that show them. */
  readonly append: (values: readonly LatestValue[], everyMs: number | null) => void;
  readonly load: (metrics: readonly MetricName[]) => Promise<void>;
};

type Entry = {
  window: SeriesWindow | null;
  readonly state: Accessor<MetricState>;
  readonly setState: (state: MetricState) => void;
  readonly revision: Accessor<number>;
  readonly revise: () => void;
};

/** What the charts of a host show: read for the range, read again now and then and after a lost connection, and live. */
export function createHistory(app: App, host: string, range: Accessor<Range>): History {
  const metrics = [...new Set(CHART_SPECS.flatMap((spec) => spec.metrics))];
  const entries = new Map<string, Entry>(metrics.map((metric) => [metric, createEntry()]));
  const find = (metric: MetricName): Entry => {
    const entry = entries.get(metric);
    if (entry === undefined) throw new Error(`Cannot find the history of ${metric}: no chart shows it`);
    return entry;
  };
  let appendedMs = 0;
  const idleMs = createMemo<number>((before) => {
    const nowMs = app.clock.nowMs();
    return nowMs - appendedMs < IDLE_MS ? before : nowMs;
  }, 0);

  const loadOne = async (metric: MetricName): Promise<void> => {
    const asked = range();
    const entry = find(metric);
    const toMs = app.clock.readNowMs();
    const reply = await app.api.readSeries({
      host,
      metric,
      fromMs: Math.floor(toMs - asked.rangeMs),
      toMs: Math.ceil(toMs),
    });
    if (asked !== range()) return; // the answer to a question that nobody asks any more
    if (!reply.ok) {
      // What is on screen stays true for its own time; a fault is shown only where nothing is.
      if (entry.window !== null) return;
      entry.setState({ fault: reply.error.message });
    } else {
      entry.window = makeWindow(reply.value, isLive(asked) ? entry.window : null);
      entry.setState('ready');
    }
    entry.revise();
  };
  const load = async (wanted: readonly MetricName[]): Promise<void> => {
    for (const metric of wanted) if (find(metric).window === null) find(metric).setState('loading');
    await Promise.all(wanted.map(loadOne));
  };
  const loadAll = (): void => {
    loadAllWithin(refreshMs(range()));
    void load(metrics);
  };
  const loadAllWithin = createAlarm(app.clock.nowMs, loadAll);

  createEffect(
    on(range, () => {
      for (const entry of entries.values()) entry.window = null;
      loadAll();
    }),
  );
  createEffect(on(app.live.reconnections, () => loadAllWithin(0), { defer: true }));
  return {
    state: (metric) => find(metric).state(),
    readWindow: (metric) => find(metric).window,
    revision: (metric) => find(metric).revision(),
    idleMs,
    append: (values, everyMs) => {
      if (!isLive(range())) return;
      appendedMs = app.clock.readNowMs();
      if (appendAll(entries, values, everyMs, appendedMs - range().rangeMs)) loadAllWithin(BACKFILL_MS);
    },
    load,
  };
}

/**
 * Calls `act` when its time has come and the page is in sight, and looks with every `tick`. Returns what sets the time:
 * an earlier one stays.
 */
function createAlarm(tick: Accessor<number>, act: () => void): (withinMs: number) => void {
  let dueMs = Number.POSITIVE_INFINITY;
  const look = (): void => {
    if (document.hidden || performance.now() < dueMs) return;
    dueMs = Number.POSITIVE_INFINITY;
    act();
  };
  createEffect(on(tick, look, { defer: true }));
  return (withinMs) => {
    dueMs = Math.min(dueMs, performance.now() + withinMs);
    look();
  };
}

/** Returns whether any value came after a gap. */
function appendAll(
  entries: ReadonlyMap<string, Entry>,
  values: readonly LatestValue[],
  everyMs: number | null,
  fromMs: number,
): boolean {
  const changed = new Set<Entry>();
  let afterGap = false;
  for (const { metric, labels, tsMs, value } of values) {
    const entry = entries.get(metric);
    if (entry === undefined || entry.window === null) continue;
    if (appendValue(entry.window, { text: labels, atMs: tsMs, value, everyMs })) afterGap = true;
    changed.add(entry);
  }
  for (const entry of changed) {
    if (entry.window !== null) trimWindow(entry.window, fromMs);
    entry.revise();
  }
  return afterGap;
}

function createEntry(): Entry {
  const [state, setState] = createSignal<MetricState>('loading');
  const [revision, setRevision] = createSignal(0);
  return { window: null, state, setState, revision, revise: () => setRevision((count) => count + 1) };
}
