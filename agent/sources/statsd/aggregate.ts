import type { MetricAbout } from '@muster/proto/custom';

import { QUANTILES, roundEstimate } from '../../custom/histogram.ts';
import { addQuantile, toLabels } from '../../custom/labels.ts';
import { toMetricName } from '../../custom/name.ts';
import type { Refusal } from '../../custom/refusal.ts';
import {
  copyText,
  keyOf,
  tellValue,
  type CustomSeries,
  type SeriesKeeper,
  type SeriesName,
} from '../../custom/series.ts';
import { makeSketch, type Sketch } from '../../custom/sketch.ts';
import type { Sample } from '../../source.ts';
import { parseStatsdLine, parseStatsdNumber, parseTags, type StatsdLine, type StatsdType } from './parse.ts';

/** Of one set between two readings, and of all; one that has more is not counted then. */
export const SET_VALUES_MAX = 1_000;
const ALL_SET_VALUES_MAX = 20_000;
const SET_VALUE_LENGTH_MAX = 200;
/** Larger numbers are no measurement. */
const VALUE_MAX = 1e18;
/** A larger sum would lose what is added. */
const SUM_MAX = Number.MAX_SAFE_INTEGER;
/** Spellings of names and tags that are known without reading them again, for each series that may be. */
const SPELLINGS = 2;
const SPELLING_LENGTH_MAX = 1_024;

const COUNTER: MetricAbout = { kind: 'counter', unit: '' };
const GAUGE: MetricAbout = { kind: 'gauge', unit: '' };

type Entry = { readonly series: readonly CustomSeries[]; isTouched: boolean } & (
  | { readonly kind: 'counter' | 'gauge' }
  | { readonly kind: 'set'; readonly seen: Set<string>; isOver: boolean }
  /** `factor` makes of a value as sent what is kept. */
  | { readonly kind: 'distribution'; readonly sketch: Sketch; readonly factor: number }
);

const KINDS: Readonly<Record<StatsdType, Entry['kind']>> = {
  c: 'counter',
  g: 'gauge',
  s: 'set',
  ms: 'distribution',
  h: 'distribution',
  d: 'distribution',
};

/** What StatsD lines add up to, between two readings. */
export type Aggregate = {
  readonly take: (line: string, nowMs: number) => void;
  /** The values now: counters and gauges of every series, sets and quantiles of what came since the reading before. */
  readonly read: (nowMs: number) => readonly Sample[];
  /** How much it keeps, whatever was sent: series, and spellings of them. */
  readonly held: () => { readonly series: number; readonly spellings: number };
};

/** `seriesMax`: how many series the keeper may have room for. */
export function makeAggregate(keeper: SeriesKeeper, seriesMax: number): Aggregate {
  const entries = new Set<Entry>();
  const owners = new Map<string, Entry>();
  const spellings = makeSpellings(SPELLINGS * seriesMax);
  const sets = { left: ALL_SET_VALUES_MAX };

  function find(line: StatsdLine, nowMs: number): Entry | Refusal {
    const spelling = `${line.type}|${line.name}|${line.tags}`;
    const known = spellings.find(spelling);
    if (known !== undefined) return known;
    const names = nameSeries(line);
    if (typeof names === 'string') return spellings.remember(spelling, names);
    const [owner, ...others] = new Set(names.map((name) => owners.get(keyOf(name))));
    // `x.count` may be a counter of its own, and what a timer `x` would count by.
    if (others.length > 0 || (owner !== undefined && owner.kind !== KINDS[line.type])) return 'kind';
    const claimed = keeper.claim(names, nowMs);
    // What is refused now may have room later.
    if (typeof claimed === 'string') return claimed;
    return spellings.remember(spelling, owner ?? open(line, claimed));
  }

  function open(line: StatsdLine, claimed: readonly CustomSeries[]): Entry {
    const entry = makeEntry(line, claimed);
    entries.add(entry);
    for (const series of claimed) owners.set(keyOf(series), entry);
    return entry;
  }

  function expire(nowMs: number): void {
    const ended = keeper.expire(nowMs);
    if (ended.size === 0) return;
    for (const series of ended) {
      const entry = owners.get(keyOf(series));
      if (entry !== undefined) entries.delete(entry);
      owners.delete(keyOf(series));
    }
    spellings.forget();
  }

  return {
    take: (text, nowMs) => {
      const line = parseStatsdLine(text);
      if (line === null) return keeper.refuse('malformed');
      const values = readValues(line, keeper.refuse);
      if (values.length === 0) return; // what says nothing takes no room
      const entry = find(line, nowMs);
      for (const value of values) {
        const refusal = typeof entry === 'string' ? entry : add(entry, value, { weight: line.weight, sets });
        if (refusal !== null) keeper.refuse(refusal, line.name);
      }
    },
    read: (nowMs) => {
      for (const entry of entries) {
        if (entry.isTouched) for (const series of entry.series) series.seenMs = nowMs;
        entry.isTouched = false;
      }
      expire(nowMs);
      const samples: Sample[] = [];
      sets.left = ALL_SET_VALUES_MAX;
      for (const entry of entries) sampleEntry(entry, samples);
      return samples;
    },
    held: () => ({ series: owners.size, spellings: spellings.size() }),
  };
}

/** What became of a name and tags as they were written. */
function makeSpellings(sizeMax: number) {
  const known = new Map<string, Entry | Refusal>();
  return {
    find: (spelling: string) => known.get(spelling),
    remember: (spelling: string, found: Entry | Refusal): Entry | Refusal => {
      if (spelling.length > SPELLING_LENGTH_MAX) return found;
      if (known.size >= sizeMax) known.clear();
      known.set(copyText(spelling), found);
      return found;
    },
    forget: () => known.clear(),
    size: () => known.size,
  };
}

/** The series that a line is about: a distribution has its count, its sum and its quantiles. */
function nameSeries({ name, type, tags }: StatsdLine): readonly SeriesName[] | Refusal {
  // Tags in the manner of InfluxDB or Graphite; as part of the name they would be a metric each.
  if (/[,;=]/.test(name)) return 'name';
  const metric = toMetricName(name);
  if (!metric.ok) return metric.error;
  const labels = toLabels(parseTags(tags));
  if (!labels.ok) return labels.error;
  const own = { metric: metric.value, labels: labels.value };
  if (type === 'c') return [{ ...own, about: COUNTER }];
  if (type === 'g' || type === 's') return [{ ...own, about: GAUGE }];
  const unit = unitOf(type, metric.value);
  return [
    { ...own, metric: `${own.metric}.count`, about: COUNTER },
    { ...own, metric: `${own.metric}.sum`, about: { kind: 'counter', unit } },
    ...QUANTILES.map((quantile) => ({
      ...own,
      labels: addQuantile(own.labels, quantile),
      about: { kind: 'gauge', unit } as const,
    })),
  ];
}

/** Timers are seconds, unless their own name says otherwise; of what a histogram is nobody says. */
function unitOf(type: StatsdType, metric: string): string {
  if (type !== 'ms') return '';
  return /(?:^|[._])(?:ms|msec|millis|milliseconds)$/.test(metric) ? 'ms' : 's';
}

function makeEntry({ type }: StatsdLine, series: readonly CustomSeries[]): Entry {
  const begun = { series, isTouched: false };
  if (type === 'g') return { ...begun, kind: 'gauge' };
  if (type === 's') return { ...begun, kind: 'set', seen: new Set(), isOver: false };
  if (type === 'c') return { ...begun, kind: 'counter' };
  const factor = series[1]?.about.unit === 's' ? 0.001 : 1;
  return { ...begun, kind: 'distribution', sketch: makeSketch(), factor };
}

/** `amount`: as a number, NaN in a set. */
type Value = { readonly text: string; readonly amount: number };

function readValues(line: StatsdLine, refuse: (reason: Refusal) => void): readonly Value[] {
  const values: Value[] = [];
  for (const text of line.values) {
    const value = readValue(line, text);
    if (typeof value === 'string') refuse(value);
    else values.push(value);
  }
  return values;
}

function readValue({ type, weight }: StatsdLine, text: string): Value | Refusal {
  if (type === 's') return text.length > SET_VALUE_LENGTH_MAX ? 'value' : { text, amount: NaN };
  const amount = parseStatsdNumber(text);
  if (amount === null) return 'malformed';
  const isLegal = type === 'g' ? Math.abs(amount) <= VALUE_MAX : amount >= 0 && amount * weight <= SUM_MAX;
  return isLegal ? { text, amount } : 'value';
}

type Taking = { readonly weight: number; readonly sets: { left: number } };

function add(entry: Entry, { text, amount }: Value, { weight, sets }: Taking): Refusal | null {
  const [first, second] = entry.series;
  if (first === undefined) return null;
  switch (entry.kind) {
    case 'set':
      return addToSet(entry, text, sets);
    case 'counter':
      if (first.value + amount * weight > SUM_MAX) return 'value';
      first.value += amount * weight;
      break;
    case 'gauge': {
      // A sign makes it a change; to go below 0 a gauge is set to 0 first.
      const level = /^[+-]/.test(text) ? (Number.isNaN(first.value) ? 0 : first.value) + amount : amount;
      if (Math.abs(level) > VALUE_MAX) return 'value';
      first.value = level;
      break;
    }
    case 'distribution': {
      const value = amount * entry.factor;
      if (second === undefined || second.value + value * weight > SUM_MAX) return 'value';
      first.value += weight;
      second.value += value * weight;
      entry.sketch.add(value, weight);
    }
  }
  entry.isTouched = true;
  return null;
}

function addToSet(entry: Extract<Entry, { kind: 'set' }>, text: string, room: { left: number }): Refusal | null {
  entry.isTouched = true;
  if (entry.seen.has(text)) return null;
  if (entry.seen.size >= SET_VALUES_MAX || room.left === 0) {
    entry.isOver = true;
    return 'value';
  }
  room.left -= 1;
  entry.seen.add(copyText(text));
  return null;
}

function sampleEntry(entry: Entry, samples: Sample[]): void {
  if (entry.kind === 'set') {
    const [series] = entry.series;
    if (series !== undefined && !entry.isOver) push(samples, series, entry.seen.size);
    entry.seen.clear();
    entry.isOver = false;
    return;
  }
  for (const series of entry.series) {
    if (Number.isNaN(series.value)) continue;
    const isTold = series.before === null; // else its value goes with the next reading
    push(samples, series, tellValue(series));
    // A counter that stands so high begins anew, as a reset, while there is room for what comes until then.
    if (isTold && series.about.kind === 'counter' && series.value > SUM_MAX / 2) [series.value, series.before] = [0, 0];
  }
  if (entry.kind !== 'distribution' || entry.sketch.count() === 0) return;
  for (const [i, series] of entry.series.slice(2).entries()) {
    push(samples, series, roundEstimate(entry.sketch.quantile(QUANTILES[i] ?? 1)));
  }
  entry.sketch.clear();
}

function push(samples: Sample[], { metric, labels, about }: CustomSeries, value: number): void {
  if (Number.isFinite(value)) samples.push({ metric, labels, value, about });
}
