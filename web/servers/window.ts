import { SILENT_INTERVALS, SILENT_MS_MIN, type SeriesReply } from '@muster/proto/api';
import { formatLabels, type Labels, parseLabels } from '@muster/proto/labels';

import type { Gap } from '../chart/model.ts';

/** An interval for a window with too few samples to tell one: what agents use while nobody watches. */
const INTERVAL_MS_DEFAULT = 5000;
/** How much older than its start a window may keep samples before they are cut off. */
const SLACK_MS = 60_000;

/** One series of a window. Ticks rise; NaN: its rate was not known there. */
export type WindowSeries = { readonly labels: Labels; tsMs: number[]; values: number[] };

/** What is known of one metric of one host in the time that a page shows; grows at its end. */
export type SeriesWindow = {
  /** By canonical label text. */
  readonly series: Map<string, WindowSeries>;
  gaps: Gap[];
  /** The newest tick of any series. */
  lastMs: number | null;
  /** How far apart samples lie, as of the last two. */
  intervalMs: number;
};

/** Makes a window of what the collector has stored; samples that came live since then are kept behind it. */
export function makeWindow(reply: SeriesReply, before: SeriesWindow | null): SeriesWindow {
  const series = new Map<string, WindowSeries>();
  for (const { labels, tsMs, values } of reply.series)
    series.set(formatLabels(labels), { labels, tsMs: [...tsMs], values: [...values] });
  const storedMs = Math.max(...reply.series.map(({ tsMs }) => tsMs.at(-1) ?? 0), 0);
  const window: SeriesWindow = {
    series,
    gaps: [...reply.gaps],
    lastMs: storedMs === 0 ? null : storedMs,
    intervalMs: typicalInterval(reply),
  };
  if (before === null) return window;
  const newer = [...before.series].flatMap(([text, { tsMs, values }]) =>
    tsMs.flatMap((atMs, index) => (atMs > storedMs ? [{ text, atMs, value: values[index] ?? null }] : [])),
  );
  newer.sort((a, b) => a.atMs - b.atMs);
  for (const { text, atMs, value } of newer) appendValue(window, { text, atMs, value, everyMs: before.intervalMs });
  return window;
}

export type LiveValue = {
  /** The canonical label text of its series. */
  readonly text: string;
  readonly atMs: number;
  readonly value: number | null;
  /** How often the host samples now. */
  readonly everyMs: number | null;
};

/** Adds a live value. Returns whether it came after a gap, which the agent may yet fill from what it kept. */
export function appendValue(window: SeriesWindow, { text, atMs, value, everyMs }: LiveValue): boolean {
  const series = findSeries(window, text);
  if (series === null || atMs <= (series.tsMs.at(-1) ?? Number.NEGATIVE_INFINITY)) return false;
  series.tsMs.push(atMs);
  series.values.push(value ?? Number.NaN);
  const { lastMs } = window;
  window.lastMs = Math.max(lastMs ?? atMs, atMs);
  if (lastMs === null || atMs <= lastMs) return false;
  if (atMs - lastMs > holdMs(window, everyMs)) {
    window.gaps.push([lastMs, atMs]);
    return true;
  }
  window.intervalMs = atMs - lastMs;
  return false;
}

/** The gaps to draw at an instant: those known, and the one that is open if nothing came for too long. */
export function gapsAt(window: SeriesWindow, nowMs: number, everyMs: number | null): readonly Gap[] {
  const { lastMs } = window;
  if (lastMs === null || nowMs - lastMs <= holdMs(window, everyMs)) return window.gaps;
  return [...window.gaps, [lastMs, nowMs]];
}

/**
 * How long a value stands for its series: samples farther apart have a gap between them. The collector's own measure
 * of a silent host, which leaves an agent the time to change its pace.
 */
export function holdMs(window: SeriesWindow, everyMs: number | null): number {
  return Math.max(SILENT_MS_MIN, SILENT_INTERVALS * Math.max(window.intervalMs, everyMs ?? 0));
}

/** Cuts off what lies before the window. */
export function trimWindow(window: SeriesWindow, fromMs: number): void {
  window.gaps = window.gaps.filter(([, gapToMs]) => gapToMs > fromMs);
  for (const [text, series] of window.series) {
    if ((series.tsMs[0] ?? fromMs) >= fromMs - SLACK_MS) continue;
    const start = series.tsMs.findIndex((atMs) => atMs >= fromMs);
    if (start === -1) window.series.delete(text);
    else {
      series.tsMs = series.tsMs.slice(start);
      series.values = series.values.slice(start);
    }
  }
}

function findSeries(window: SeriesWindow, text: string): WindowSeries | null {
  const known = window.series.get(text);
  if (known !== undefined) return known;
  const labels = parseLabels(text);
  if (!labels.ok) return null;
  const added: WindowSeries = { labels: labels.value, tsMs: [], values: [] };
  window.series.set(text, added);
  return added;
}

/** The middle distance between samples of the longest series. */
function typicalInterval(reply: SeriesReply): number {
  const longest = reply.series.reduce<readonly number[]>(
    (most, { tsMs }) => (tsMs.length > most.length ? tsMs : most),
    [],
  );
  const distances = longest.slice(1).map((atMs, index) => atMs - (longest[index] ?? atMs));
  return distances.toSorted((a, b) => a - b)[distances.length >> 1] ?? INTERVAL_MS_DEFAULT;
}
