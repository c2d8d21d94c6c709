import { Packr, Unpackr } from 'msgpackr';

import { isCount, show } from './check-value.ts';
import { readEvents, TEXT_LENGTH_MAX, type HostEvent } from './event.ts';
import { isMetric, readDescriptions, type MetricDescription } from './custom.ts';
import { LABELS_LENGTH_MAX, parseLabels, type Labels } from './labels.ts';
import { findFault } from './msgpack.ts';
import { isRecord } from './record.ts';
import { err, ok, type Result } from './result.ts';

export const WIRE_VERSION = 1;
/** Ten minutes at one tick a second; a backlog comes in batches of fewer. */
export const TICKS_MAX = 600;
/** How many records of a spool may be joined to one batch. */
export const RECORDS_MAX = 600;
/** What a host with 256 cores, 1,000 mounts or 1,000 containers needs, and some. */
export const SERIES_MAX = 20_000;
/** A tick further ahead of the collector's clock is not stored with the others: it would open a partition of its own. */
export const FUTURE_MS_MAX = 5 * 60_000;
/** A tick older than this would be deleted as soon as it is stored: samples are kept for 30 days. */
export const PAST_MS_MAX = 30 * 86_400_000;
const EVERY_MS_MAX = 3_600_000;

/** One line of data over time: a metric name and its canonical label text (see labels.ts). */
export type Series = readonly [metric: string, labels: string];

/** What the machine is. Loaded once, sent when it changed. Absent: could not be found out. */
export type Inventory = {
  readonly os?: string;
  readonly kernel?: string;
  readonly arch?: string;
  readonly cpuModel?: string;
  readonly cores?: number;
  readonly memoryBytes?: number;
  readonly vendor?: string;
  readonly model?: string;
  readonly virtualization?: string;
  readonly agentVersion?: string;
  /** What its owner says of it: `region`, `env`, `role`, `team`, free ones. */
  readonly labels?: Labels;
};

export const HOST_LABELS_MAX = 32;
export const HOST_LABEL_KEY_PATTERN = /^[a-z][a-z0-9_.-]{0,62}$/;
export const HOST_LABEL_LENGTH_MAX = 128;

const INVENTORY_TEXTS = [
  'os',
  'kernel',
  'arch',
  'cpuModel',
  'vendor',
  'model',
  'virtualization',
  'agentVersion',
] as const;
const INVENTORY_NUMBERS = ['cores', 'memoryBytes'] as const;

/**
 * What an agent sends: `series.length × ticksMs.length` samples.
 *
 * `values` has the shape [series, ticks], NaN where a series had no sample at a tick. Ticks rise and are multiples of
 * the sampling interval, `everyMs`.
 *
 * `epoch` is random per spool and `seq` rises by one with each record of it; together they name the batch. One that was
 * joined of several records carries those from `since` to `seq`; without it, `seq` alone. `run` is random per start of
 * the agent: two that take turns are two agents with one identity.
 *
 * `described` says of the metrics of `series` that are not in the catalogue what they are, each once; it belongs to
 * `series`, and goes where that goes.
 *
 * `keep` asks the collector to keep what the next batch may be told beside (basis.ts).
 */
export type Batch = {
  readonly epoch: number;
  readonly seq: number;
  readonly since?: number;
  readonly run?: number;
  readonly sentMs: number;
  readonly everyMs?: number;
  readonly ticksMs: readonly number[];
  readonly series: readonly Series[];
  readonly described?: readonly MetricDescription[];
  readonly values: Float64Array;
  readonly info?: Inventory;
  readonly events?: readonly HostEvent[];
  readonly keep?: true;
};

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/** The bytes of a batch, version 1 of the wire, not yet compressed. */
export function encodeBatch(batch: Batch): Uint8Array {
  const { values } = batch;
  return packMessage({
    v: WIRE_VERSION,
    epoch: batch.epoch,
    seq: batch.seq,
    ...(batch.since === undefined ? {} : { since: batch.since }),
    ...(batch.run === undefined ? {} : { run: batch.run }),
    sentMs: batch.sentMs,
    ...(batch.everyMs === undefined ? {} : { everyMs: batch.everyMs }),
    t: batch.ticksMs,
    s: batch.series,
    ...(batch.described === undefined || batch.described.length === 0 ? {} : { m: batch.described }),
    x: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    ...encodeNews(batch),
    ...(batch.keep === undefined ? {} : { keep: batch.keep }),
  });
}

/** A map as it travels. */
export function packMessage(message: Readonly<Record<string, unknown>>): Uint8Array {
  return packr.pack(message);
}

/** What a batch tells besides its samples, as far as there is any. */
export function encodeNews({ info, events = [] }: Pick<Batch, 'info' | 'events'>): Pick<Batch, 'info' | 'events'> {
  return { ...(info === undefined ? {} : { info }), ...(events.length === 0 ? {} : { events }) };
}

/**
 * Reads a batch from bytes of any origin. The error is a sentence for the log of whoever sent it; it never throws.
 * Unknown fields are passed over, so that a newer agent can talk to an older collector.
 */
export function decodeBatch(bytes: Uint8Array): Result<Batch, string> {
  const message = unpackMessage(bytes);
  return message.ok ? readBatch(message.value) : message;
}

/** A message of plain MessagePack, none of it looked at but that it is a map. */
export function unpackMessage(bytes: Uint8Array): Result<Record<string, unknown>, string> {
  const fault = findFault(bytes);
  if (fault !== null) return err(fault);
  const message: unknown = unpackr.unpack(bytes);
  return isRecord(message) ? ok(message) : err('the message is not a map');
}

export function readBatch(message: Record<string, unknown>): Result<Batch, string> {
  if (message['v'] !== WIRE_VERSION) return err(`v must be ${WIRE_VERSION}, was ${show(message['v'])}`);
  const { epoch } = message;
  if (!isCount(epoch)) return err(`epoch must be a whole number, was ${show(epoch)}`);
  const told = readTold(message);
  if (!told.ok) return told;
  const { seq, ...more } = told.value;
  const origin = readOrigin(message, seq);
  if (!origin.ok) return origin;
  const series = readSeries(message['s']);
  if (!series.ok) return series;
  const described = readDescriptions(message['m']);
  if (!described.ok) return described;
  const values = readValues(message['x'], series.value.length * more.ticksMs.length);
  if (!values.ok) return values;
  return ok({
    epoch,
    seq,
    ...more,
    ...origin.value,
    series: series.value,
    ...(described.value.length === 0 ? {} : { described: described.value }),
    values: values.value,
    ...(message['keep'] === true ? { keep: true as const } : {}),
  });
}

/** What every batch says itself, beside what it may leave to the one before. */
export type Told = Pick<Batch, 'seq' | 'sentMs' | 'ticksMs' | 'info' | 'events'>;

export function readTold(message: Record<string, unknown>): Result<Told, string> {
  const { seq, sentMs } = message;
  if (!isCount(seq)) return err(`seq must be a whole number, was ${show(seq)}`);
  if (!isCount(sentMs)) return err(`sentMs must be Unix milliseconds, was ${show(sentMs)}`);
  const ticksMs = readTicks(message['t']);
  if (!ticksMs.ok) return ticksMs;
  const info = readInventory(message['info']);
  if (!info.ok) return info;
  const events = readEvents(message['events']);
  if (!events.ok) return events;
  const inventory = info.value === null ? {} : { info: info.value };
  return ok({ seq, sentMs, ticksMs: ticksMs.value, ...inventory, events: events.value });
}

type Origin = Pick<Batch, 'since' | 'run' | 'everyMs'>;

/** What says more closely where the batch comes from. All of it may be missing. */
function readOrigin({ since, run, everyMs }: Record<string, unknown>, seq: number): Result<Origin, string> {
  if (since !== undefined && (!isCount(since) || since > seq || seq - since >= RECORDS_MAX)) {
    return err(`since must be at most seq and less than ${RECORDS_MAX} before it, was ${show(since)}`);
  }
  if (run !== undefined && !isCount(run)) return err(`run must be a whole number, was ${show(run)}`);
  if (everyMs !== undefined && (!isCount(everyMs) || everyMs === 0 || everyMs > EVERY_MS_MAX)) {
    return err(`everyMs must be 1 to ${EVERY_MS_MAX} milliseconds, was ${show(everyMs)}`);
  }
  return ok({
    ...(since === undefined ? {} : { since }),
    ...(run === undefined ? {} : { run }),
    ...(everyMs === undefined ? {} : { everyMs }),
  });
}

function readTicks(value: unknown): Result<number[], string> {
  if (!Array.isArray(value)) return err(`t must be an array of Unix milliseconds, was ${show(value)}`);
  if (value.length > TICKS_MAX) return err(`t holds ${value.length} ticks, more than ${TICKS_MAX}`);
  const ticksMs: number[] = [];
  let previousMs = -1;
  for (const tickMs of value) {
    if (!isCount(tickMs)) return err(`a tick must be Unix milliseconds, was ${show(tickMs)}`);
    if (tickMs <= previousMs) return err(`ticks must rise, but ${tickMs} follows ${previousMs}`);
    ticksMs.push(tickMs);
    previousMs = tickMs;
  }
  return ok(ticksMs);
}

export function readSeries(value: unknown): Result<Series[], string> {
  if (!Array.isArray(value)) return err(`s must be an array of [metric, labels], was ${show(value)}`);
  if (value.length > SERIES_MAX) return err(`s holds ${value.length} series, more than ${SERIES_MAX}`);
  const series: Series[] = [];
  const seen = new Set<string>();
  for (const entry of value) {
    if (!Array.isArray(entry) || entry.length !== 2)
      return err(`a series must be [metric, labels], was ${show(entry)}`);
    const [metric, labels]: unknown[] = entry;
    if (!isMetric(metric)) {
      return err(`a metric's name is lower-case words joined by dots, was ${show(metric)}`);
    }
    if (typeof labels !== 'string') return err(`the labels of ${metric} must be one string, were ${show(labels)}`);
    const fault = findLabelsFault(labels);
    if (fault !== null) return err(`the labels of ${metric} are refused: ${fault}`);
    const key = `${metric} ${labels}`;
    if (seen.has(key)) return err(`the series ${show(key)} is there twice`);
    seen.add(key);
    series.push([metric, labels]);
  }
  return ok(series);
}

function findLabelsFault(labels: string): string | null {
  if (labels.length > LABELS_LENGTH_MAX) return `they are ${labels.length} characters, more than ${LABELS_LENGTH_MAX}`;
  const parsed = parseLabels(labels);
  return parsed.ok ? null : parsed.error;
}

/** Copies the block out of the message, because its place in there need not be a multiple of eight. */
function readValues(value: unknown, count: number): Result<Float64Array, string> {
  if (!(value instanceof Uint8Array)) return err(`x must be binary, was ${show(value)}`);
  if (value.byteLength !== count * 8) return err(`x must be ${count * 8} bytes (8 a sample), was ${value.byteLength}`);
  const values = new Float64Array(count);
  new Uint8Array(values.buffer).set(value);
  return ok(values);
}

function readInventory(value: unknown): Result<Inventory | null, string> {
  if (value === undefined || value === null) return ok(null);
  if (!isRecord(value)) return err(`info must be a map, was ${show(value)}`);
  const inventory: Record<string, string | number> = {};
  for (const key of INVENTORY_TEXTS) {
    const text = value[key];
    if (text === undefined) continue;
    if (typeof text !== 'string' || text.length > TEXT_LENGTH_MAX)
      return err(`info.${key} must be a short text, was ${show(text)}`);
    inventory[key] = text;
  }
  for (const key of INVENTORY_NUMBERS) {
    const count = value[key];
    if (count === undefined) continue;
    if (!isCount(count)) return err(`info.${key} must be a whole number, was ${show(count)}`);
    inventory[key] = count;
  }
  if (value['labels'] === undefined) return ok(inventory);
  const labels = readHostLabels(value['labels']);
  return labels.ok ? ok({ ...inventory, labels: labels.value }) : err(`info.${labels.error[0]}`);
}

/** The labels of a host, from outside. Every fault begins with `labels`. */
export function readHostLabels(value: unknown): Result<Labels, readonly [string, ...string[]]> {
  if (!isRecord(value)) return err([`labels must be a map, was ${show(value)}`]);
  const entries = Object.entries(value);
  if (entries.length > HOST_LABELS_MAX) return err([`labels holds ${entries.length}, more than ${HOST_LABELS_MAX}`]);
  const labels: Record<string, string> = {};
  const faults: string[] = [];
  for (const [key, text] of entries) {
    if (!HOST_LABEL_KEY_PATTERN.test(key)) faults.push(`labels has a key that is no lower-case word: ${show(key)}`);
    else if (typeof text !== 'string' || text === '' || text.length > HOST_LABEL_LENGTH_MAX)
      faults.push(`labels.${key} must be 1 to ${HOST_LABEL_LENGTH_MAX} characters, was ${show(text)}`);
    else labels[key] = text;
  }
  const [first, ...others] = faults;
  return first === undefined ? ok(labels) : err([first, ...others]);
}

/** How many samples there are in truth, the holes left out. */
export function countSamples({ values }: Pick<Batch, 'values'>): number {
  let count = 0;
  // By index: an iterator makes an object of each.
  for (let i = 0; i < values.length; i += 1) if (!Number.isNaN(values[i])) count += 1;
  return count;
}
