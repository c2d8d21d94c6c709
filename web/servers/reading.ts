import { type LatestValue, SILENT_INTERVALS } from '@muster/proto/api';
import { type Labels, parseLabels } from '@muster/proto/labels';
import type { MetricName } from '@muster/proto/metric';

/** A source that costs too much is read once a minute at least; after some minutes without it its values say nothing. */
const OLD_MS = SILENT_INTERVALS * 60_000;

/** One value with its labels. null: not known now. */
export type Told = {
  readonly metric: string;
  readonly labels: Labels;
  readonly tsMs: number;
  readonly value: number | null;
};

/** The newest values of some metrics. What has labels that cannot be read is left out. */
export function pickTold(latest: Iterable<LatestValue>, metrics: ReadonlySet<string>): Told[] {
  const found: Told[] = [];
  for (const { metric, labels: text, tsMs, value } of latest) {
    if (!metrics.has(metric)) continue;
    const labels = parseLabels(text);
    if (labels.ok) found.push({ metric, labels: labels.value, tsMs, value });
  }
  return found;
}

/**
 * What a source told at its newest reading, all of which bears one tick: who is not in it is not there any more, and what
 * is not in it is not known. If that reading is old at `atMs`, by the clock of the host, no value of it is known either.
 */
export function takeReading(latest: Iterable<LatestValue>, metrics: readonly MetricName[], atMs: number): Told[] {
  const wanted = new Set<string>(metrics);
  const values = [...latest].filter(({ metric }) => wanted.has(metric));
  const readingMs = values.reduce((newestMs, { tsMs }) => Math.max(newestMs, tsMs), 0);
  const told = pickTold(
    values.filter(({ tsMs }) => tsMs === readingMs),
    wanted,
  );
  return atMs - readingMs > OLD_MS ? told.map((one) => ({ ...one, value: null })) : told;
}

/** The value of a metric, without regard to labels; null where there is none. */
export function readTold(told: readonly Told[], metric: MetricName): number | null {
  return told.find((one) => one.metric === metric)?.value ?? null;
}

/** Of series that are 1 for the word that holds, that word: the value of the label `key`. */
export function readWord(told: readonly Told[], metric: MetricName, key: string): string | null {
  return told.find((one) => one.metric === metric && one.value === 1)?.labels[key] ?? null;
}
