import type { HostEvent } from '@muster/proto/event';
import type { MetricAbout } from '@muster/proto/custom';
import { formatLabels } from '@muster/proto/labels';
import type { MetricName } from '@muster/proto/metric';

import type { CustomMetric, Sample } from '../source.ts';
import { REFUSALS, type Refusal } from './refusal.ts';

/** How many custom series there may be, of all sources that have no limit of their own. */
export const SERIES_LIMIT = 1_000;
/** How many one source may be given: with all three this is less than a batch holds. */
export const SERIES_LIMIT_MAX = 5_000;
/** A series that nobody has told for so long gives its place to another. */
export const IDLE_MS = 15 * 60_000;
/** That series were dropped is told once in this time. */
const EVENT_MS = 3_600_000;
/** That two processes tell one series, or that values are refused, is said for so long after the last time that it was seen. */
const SHARED_MS = 3_600_000;
/** Of so many metrics it is counted how much of them was dropped; more than that many are a flood, which has no name. */
const NAMES_COUNTED_MAX = 200;

/** One series of others, for as long as it is told. Its source gives it values. */
export type CustomSeries = {
  readonly metric: CustomMetric;
  readonly labels: string;
  readonly about: MetricAbout;
  /** As it stands, for `tellValue`; NaN where nothing has come yet. */
  value: number;
  /**
   * Where a counter of what came stood, which is told before its value is: of a series that begins with 1 nobody can tell
   * that it rose. Null once it was told, and in what others count in all.
   */
  before: number | null;
  /** What others have counted, of which the one that counts now knows nothing, less what it has counted unheard. */
  base: number;
  /** When it was told last. */
  seenMs: number;
};

export type SeriesName = { readonly metric: string; readonly labels: string; readonly about: MetricAbout };

/** The custom series of one source: what there is room for, and what was refused. */
export type SeriesKeeper = {
  /** The series of each name, in their order, made where there is room for all of them; else none, and why. */
  readonly claim: (names: readonly SeriesName[], nowMs: number) => readonly CustomSeries[] | Refusal;
  /** Counts a value that was refused; `metric`: of what, where it was for want of room. */
  readonly refuse: (reason: Refusal, metric?: string) => void;
  /** Ends those that nobody has told for IDLE_MS, and gives them. One that comes again goes on as it stood, if it is kept. */
  readonly expire: (nowMs: number) => ReadonlySet<CustomSeries>;
  /** What it has to say of itself: samples, a remark where something was dropped, an event once an hour at most. */
  readonly report: (nowMs: number) => KeeperReport;
  readonly close: () => void;
};

export type KeeperReport = {
  readonly samples: readonly Sample[];
  readonly remark: string | null;
  /** Why values were refused of late, for those whose senders get no answer. */
  readonly refused: string | null;
  readonly events: readonly HostEvent[];
};

/** All custom series of the agent: no two sources tell one series, and all agree on what a metric is. */
export type SeriesPool = { readonly open: (source: string, limit: number | undefined) => SeriesKeeper };

type Room = { left: number };
/** A metric of which there are series. */
type Known = { readonly about: MetricAbout; series: number };
type Shared = { readonly keys: Set<string>; readonly known: Map<string, Known>; readonly common: Room };

export function makeSeriesPool(): SeriesPool {
  const shared: Shared = { keys: new Set(), known: new Map(), common: { left: SERIES_LIMIT } };
  return {
    open: (source, limit) =>
      openKeeper(source, shared, {
        room: limit === undefined ? shared.common : { left: limit },
        limit: limit ?? SERIES_LIMIT,
      }),
  };
}

type Limit = { readonly room: Room; readonly limit: number };

function openKeeper(source: string, shared: Shared, { room, limit }: Limit): SeriesKeeper {
  const own = new Map<string, CustomSeries>();
  const resting = makeResting(limit);
  const account = makeAccount(source, limit);

  function judge(names: readonly SeriesName[]): Refusal | null {
    for (const { metric, about } of names) {
      const known = shared.known.get(metric)?.about;
      if (known !== undefined && !isSameAbout(known, about)) return 'kind';
    }
    const fresh = names.filter((name) => !own.has(keyOf(name)));
    if (fresh.some((name) => shared.keys.has(keyOf(name)))) return 'taken';
    return fresh.length > room.left ? 'limit' : null;
  }

  function make(name: SeriesName, nowMs: number): CustomSeries {
    const found = own.get(keyOf(name));
    if (found !== undefined) return found;
    const series = resting.wake(name, nowMs) ?? makeSeries(name, nowMs);
    const { metric } = series;
    const key = keyOf(series);
    own.set(key, series);
    shared.keys.add(key);
    const known = shared.known.get(metric);
    if (known === undefined) shared.known.set(metric, { about: name.about, series: 1 });
    else known.series += 1;
    room.left -= 1;
    return series;
  }

  function end(key: string, { metric }: CustomSeries): void {
    own.delete(key);
    shared.keys.delete(key);
    const known = shared.known.get(metric);
    if (known !== undefined) known.series -= 1;
    if (known?.series === 0) shared.known.delete(metric);
    room.left += 1;
  }

  return {
    claim: (names, nowMs) => judge(names) ?? names.map((name) => make(name, nowMs)),
    refuse: account.refuse,
    expire: (nowMs) => {
      const ended = new Set<CustomSeries>();
      for (const [key, series] of own) {
        // Set back, the clock makes nothing older; set ahead, it ends everything, and what is told comes back.
        if (Math.abs(nowMs - series.seenMs) < IDLE_MS) continue;
        end(key, series);
        resting.add(key, series);
        ended.add(series);
      }
      return ended;
    },
    report: (nowMs) => account.report(own.size, nowMs),
    close: () => {
      for (const [key, series] of own) end(key, series);
    },
  };
}

function makeSeries({ metric, labels, about }: SeriesName, nowMs: number): CustomSeries {
  const isCounter = about.kind === 'counter';
  return {
    // The name was made by toMetricName, which checks it.
    metric: copyText(metric) as CustomMetric,
    labels: copyText(labels),
    about,
    value: isCounter ? 0 : NaN,
    before: isCounter ? 0 : null,
    base: 0,
    seenMs: nowMs,
  };
}

/**
 * Keeps the series that have ended as they stood, as many as there may be of others; of more, the last. What comes to a
 * counter is added to that, and what comes to a gauge may be: a change of it.
 */
function makeResting(limit: number) {
  const resting = new Map<string, CustomSeries>();
  return {
    add: (key: string, series: CustomSeries): void => {
      if (Number.isNaN(series.value)) return;
      resting.set(key, series);
      if (resting.size <= limit) return;
      const [first = key] = resting.keys();
      resting.delete(first);
    },
    wake: (name: SeriesName, nowMs: number): CustomSeries | null => {
      const key = keyOf(name);
      const series = resting.get(key);
      resting.delete(key);
      // What is of another kind by now counts something else.
      if (series === undefined || !isSameAbout(series.about, name.about)) return null;
      series.before = series.about.kind === 'counter' ? series.value : null;
      series.seenMs = nowMs;
      return series;
    },
  };
}

/** The value to tell now. Of a counter of what came that begins, how it stood before; its value is told with the next reading. */
export function tellValue(series: CustomSeries): number {
  const { before, value } = series;
  series.before = null;
  return before ?? value;
}

function isSameAbout(one: MetricAbout, other: MetricAbout): boolean {
  return one.kind === other.kind && one.unit === other.unit;
}

/** Says of which series more than one process tells. */
function makeSharedRemark() {
  let count = 0;
  let name = '';
  let saidMs: number | null = null;
  return {
    note: (metric: string): void => {
      count += 1;
      if (name === '') name = copyText(metric);
    },
    tell: (nowMs: number): string | null => {
      if (count > 0) [count, saidMs] = [0, nowMs];
      // Set back, the clock ends nothing sooner; set ahead, it ends this, and what goes on is said again.
      if (saidMs === null || Math.abs(nowMs - saidMs) >= SHARED_MS) {
        [name, saidMs] = ['', null];
        return null;
      }
      return `several processes tell the same series, such as ${name}: one is taken; set service.instance.id, another one in each`;
    },
  };
}

/** Says why values were refused within the last hour; what has words of its own is not among that. */
function makeRefusedRemark() {
  const told = new Map<string, { readonly count: number; readonly atMs: number }>();
  return (counts: ReadonlyMap<string, { readonly count: number }>, nowMs: number): string | null => {
    const reasons = Object.entries(REFUSALS).flatMap(([reason, words]) => {
      const count = counts.get(reason)?.count ?? 0;
      const before = told.get(reason);
      if (count !== (before?.count ?? 0)) told.set(reason, { count, atMs: nowMs });
      const atMs = told.get(reason)?.atMs;
      const isRecent = atMs !== undefined && Math.abs(nowMs - atMs) < SHARED_MS;
      return isRecent && reason !== 'limit' && reason !== 'origin' ? [words] : [];
    });
    return reasons.length === 0 ? null : `values are refused: ${reasons.join('; ')}`;
  };
}

/** Counts what was refused, and says it. */
function makeAccount(source: string, limit: number) {
  const labels = formatLabels({ 'muster.source': source });
  const counts = new Map(
    Object.keys(REFUSALS).map((reason) => [
      reason,
      { labels: formatLabels({ 'muster.reason': reason, 'muster.source': source }), count: 0 },
    ]),
  );
  const byMetric = new Map<string, number>();
  const shared = makeSharedRemark();
  const tellRefused = makeRefusedRemark();
  let toldMs = Number.NEGATIVE_INFINITY;
  let toldCount = 0;
  let most = '';

  function findMost(): string {
    const [[name] = ['']] = [...byMetric].toSorted(([, a], [, b]) => b - a);
    return name;
  }

  return {
    refuse: (reason: Refusal, metric?: string): void => {
      const known = counts.get(reason);
      if (known !== undefined) known.count += 1;
      if (metric !== undefined && reason === 'origin') shared.note(metric);
      if (reason !== 'limit' || metric === undefined) return;
      const before = byMetric.get(metric);
      if (before !== undefined || byMetric.size < NAMES_COUNTED_MAX) byMetric.set(copyText(metric), (before ?? 0) + 1);
    },
    report: (series: number, nowMs: number): KeeperReport => {
      const dropped = counts.get('limit')?.count ?? 0;
      const refused = [...counts].flatMap(([reason, { labels: own, count }]) =>
        reason === 'limit' || count === 0 ? [] : [sampleOf('muster.agent.samples.refused', own, count)],
      );
      const samples = [
        sampleOf('muster.agent.series.count', labels, series),
        sampleOf('muster.agent.series.dropped', labels, dropped),
        ...refused,
      ];
      const isNews = dropped !== toldCount && Math.abs(nowMs - toldMs) >= EVENT_MS;
      // Found out as seldom as it is told, so that the words stay the same.
      if (isNews) [toldMs, toldCount, most] = [nowMs, dropped, findMost()];
      const limited = `series beyond the limit of ${limit} are left out, most of them of ${most}; "limit" sets it`;
      const remarks = [dropped === 0 ? null : limited, shared.tell(nowMs)];
      return {
        samples,
        remark: remarks.filter((one) => one !== null).join('; ') || null,
        refused: tellRefused(counts, nowMs),
        events: !isNews ? [] : [{ kind: 'series-dropped', atMs: nowMs, subject: `${source}: ${most}` }],
      };
    },
  };
}

function sampleOf(metric: MetricName, labels: string, value: number): Sample {
  return { metric, labels, value };
}

/** A part of a text keeps all of it in memory; this is one of its own. */
export function copyText(text: string): string {
  return Buffer.from(text).toString();
}

/** What tells one series from every other. */
export function keyOf({ metric, labels }: Pick<SeriesName, 'metric' | 'labels'>): string {
  return `${metric} ${labels}`;
}
