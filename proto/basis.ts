import {
  encodeNews,
  packMessage,
  readBatch,
  readSeries,
  readTold,
  SERIES_MAX,
  unpackMessage,
  type Batch,
  type Series,
} from './batch.ts';
import { show } from './check-value.ts';
import { DESCRIPTIONS_MAX, readDescriptions, type MetricDescription } from './custom.ts';
import { decodeDifferences, encodeDifferences, type Before } from './differences.ts';
import { INFLATED_BYTES_MAX } from './push.ts';
import { err, ok, type Result } from './result.ts';

/** Messages of this version name a basis; one who does not know them refuses the version and takes nothing for another. */
export const BRIEF_VERSION = 2;
/** Of a hash: nobody meets the same one twice by chance, and what is named is what was meant. */
export const BASIS_ID_BYTES = 16;
/** As many as could come in full. */
const SAMPLES_MAX = INFLATED_BYTES_MAX / 8;

/**
 * What a batch that has arrived leaves with both sides, so that the next one need not repeat it: whose it was, its
 * series, and what came last of each (differences.ts).
 *
 * `id` is a hash of all of that. Each side computes it from what it holds, never from what it was told, so that a basis
 * of this id is this basis, whoever has forgotten, restarted or mistaken anything.
 */
export type Basis = {
  readonly id: Uint8Array;
  readonly epoch: number;
  readonly run: number | undefined;
  readonly everyMs: number | undefined;
  readonly series: readonly Series[];
  /** Of the metrics of `series`. */
  readonly described: readonly MetricDescription[];
  /** Of `series` and `described`. */
  readonly seriesId: Uint8Array;
  readonly last: Before;
};

/** SHA-256, as far as it is wanted. Given, because `proto` imports nothing. */
export type Hash = (bytes: Uint8Array) => Uint8Array;

/** Epoch, run and interval stand before the values. */
const ORIGIN_NUMBERS = 3;

/** The basis that a batch leaves. One that was told beside `before` has the series of that, and perhaps more behind them. */
export function makeBasis(batch: Batch, before: Basis | null, hash: Hash): Basis {
  const { epoch, run, everyMs, series, described = NONE_DESCRIBED } = batch;
  const isUnchanged = before !== null && before.series === series && before.described === described;
  const names = described.length === 0 ? series : [series, described];
  const seriesId = isUnchanged ? before.seriesId : hash(new TextEncoder().encode(JSON.stringify(names)));
  // One piece of memory, of which what came last is the end: this is made for every batch.
  const numbers = ORIGIN_NUMBERS + series.length;
  const bytes = new Uint8Array(seriesId.byteLength + 8 * numbers + series.length);
  bytes.set(seriesId);
  const values = new Float64Array(bytes.buffer, seriesId.byteLength, numbers);
  values[0] = epoch;
  values[1] = run ?? -1;
  values[2] = everyMs ?? -1;
  const last = {
    values: values.subarray(ORIGIN_NUMBERS),
    holes: bytes.subarray(seriesId.byteLength + 8 * numbers),
  };
  copyLast(batch, before?.last ?? NOTHING, last);
  return { id: hash(bytes).subarray(0, BASIS_ID_BYTES), epoch, run, everyMs, series, described, seriesId, last };
}

/** Writes into `last` what came last after a batch, and, where nothing came, what came before. */
function copyLast({ series, values, ticksMs: { length: ticks } }: Batch, before: Before, last: Before): void {
  extendInto(last, before);
  if (ticks === 0) return;
  for (let row = 0; row < series.length; row += 1) {
    const start = row * ticks;
    let at = start + ticks - 1;
    while (at >= start && Number.isNaN(values[at])) at -= 1;
    if (at >= start) last.values[row] = values[at] ?? NaN;
    last.holes[row] = at < start + ticks - 1 ? 1 : 0;
  }
}

/** One list, so that nothing is known for the same as nothing. */
const NONE_DESCRIBED: readonly MetricDescription[] = [];
const NOTHING: Before = { values: new Float64Array(0), holes: new Uint8Array(0) };

/** The same, with so many series more of which nothing came yet. */
function extend(before: Before, more: number): Before {
  if (more === 0) return before;
  const length = before.values.length + more;
  const extended = { values: new Float64Array(length), holes: new Uint8Array(length) };
  extendInto(extended, before);
  return extended;
}

function extendInto(extended: Before, { values, holes }: Before): void {
  extended.values.set(values);
  extended.values.fill(NaN, values.length);
  extended.holes.set(holes);
  extended.holes.fill(1, holes.length);
}

/**
 * A batch as it would be told beside a basis: with the series of that in their order, holes where it has no such series,
 * and those that are new behind them. Null when it is better told in full: where little of it is there, or of another
 * spool, start or interval.
 */
export function fitToBasis(batch: Batch, basis: Basis): Batch | null {
  const { epoch, run, everyMs, ticksMs, since = batch.seq } = batch;
  if (epoch !== basis.epoch || run !== basis.run || everyMs !== basis.everyMs || since !== batch.seq) return null;
  const described = fitDescribed(batch, basis);
  if (described === null) return null;
  if (isSameList(batch.series, basis.series)) return { ...batch, series: basis.series, ...described };
  const rows = new Map(basis.series.map((one, row) => [one.join(' '), row]));
  const added: Series[] = [];
  const places = batch.series.map((one) => {
    const row = rows.get(one.join(' '));
    return row ?? basis.series.length + added.push(one) - 1;
  });
  const { length } = basis.series;
  const isFar = batch.series.length - added.length < length / 2 || length + added.length > SERIES_MAX;
  if (isFar || (length + added.length) * ticksMs.length > SAMPLES_MAX) return null;
  const series = added.length === 0 ? basis.series : [...basis.series, ...added];
  const values = new Float64Array(series.length * ticksMs.length).fill(NaN);
  for (const [row, place] of places.entries()) {
    values.set(batch.values.subarray(row * ticksMs.length, (row + 1) * ticksMs.length), place * ticksMs.length);
  }
  return { ...batch, series, values, ...described };
}

/**
 * What the basis says of metrics, and what is new behind it. Null where the two disagree, or there is too much: then the
 * batch is better told in full.
 */
function fitDescribed({ described = [] }: Batch, basis: Basis): Pick<Batch, 'described'> | null {
  const known = new Map(basis.described.map((one) => [one[0], one]));
  const added: MetricDescription[] = [];
  for (const one of described) {
    const before = known.get(one[0]);
    if (before === undefined) added.push(one);
    else if (before[1] !== one[1] || before[2] !== one[2]) return null;
  }
  if (known.size + added.length > DESCRIPTIONS_MAX) return null;
  return joinDescribed(basis, added);
}

function joinDescribed(basis: Basis, added: readonly MetricDescription[]): Pick<Batch, 'described'> {
  if (basis.described.length + added.length === 0) return {};
  return { described: added.length === 0 ? basis.described : [...basis.described, ...added] };
}

/** The ordinary case, found out without building anything. */
function isSameList(one: readonly Series[], other: readonly Series[]): boolean {
  return (
    one.length === other.length &&
    one.every(([metric, labels], row) => metric === other[row]?.[0] && labels === other[row]?.[1])
  );
}

/** The bytes of a batch that fits a basis. */
export function encodeBrief(batch: Batch, basis: Basis): Uint8Array {
  const added = batch.series.slice(basis.series.length);
  const described = batch.described?.slice(basis.described.length) ?? [];
  return packMessage({
    v: BRIEF_VERSION,
    from: basis.id,
    seq: batch.seq,
    sentMs: batch.sentMs,
    t: batch.ticksMs,
    ...(added.length === 0 ? {} : { s: added }),
    ...(described.length === 0 ? {} : { m: described }),
    d: encodeDifferences(batch.values, extend(basis.last, added.length)),
    ...encodeNews(batch),
  });
}

/** `unknown-basis`: not the one that there is; the batch is wanted in full. */
export type PushFault = { readonly kind: 'malformed'; readonly reason: string } | { readonly kind: 'unknown-basis' };

/** A batch, and what it was told beside; null: it was told in full. */
export type Pushed = { readonly batch: Batch; readonly beside: Basis | null };

/** Reads a batch from bytes of any origin: told in full, or beside `basis`, which is what its sender has left here. */
export function decodePush(bytes: Uint8Array, basis: Basis | null): Result<Pushed, PushFault> {
  const message = unpackMessage(bytes);
  if (!message.ok) return err({ kind: 'malformed', reason: message.error });
  const isBrief = message.value['v'] === BRIEF_VERSION;
  const { from } = message.value;
  if (isBrief && from instanceof Uint8Array && (basis === null || !areEqual(from, basis.id))) {
    return err({ kind: 'unknown-basis' });
  }
  const batch = isBrief ? readBrief(message.value, basis) : readBatch(message.value);
  if (!batch.ok) return err({ kind: 'malformed', reason: batch.error });
  return ok({ batch: batch.value, beside: isBrief ? basis : null });
}

function readBrief(message: Record<string, unknown>, basis: Basis | null): Result<Batch, string> {
  if (basis === null || !(message['from'] instanceof Uint8Array)) {
    return err(`from must be ${BASIS_ID_BYTES} bytes, was ${show(message['from'])}`);
  }
  const told = readTold(message);
  if (!told.ok) return told;
  const added = message['s'] === undefined ? ok([]) : readSeries(message['s']);
  if (!added.ok) return added;
  const series = added.value.length === 0 ? basis.series : [...basis.series, ...added.value];
  const described = readDescriptions(message['m']);
  if (!described.ok) return described;
  const fault = findAddedFault(basis, added.value) ?? findDescribedFault(basis, described.value);
  if (fault !== null) return err(fault);
  const ticks = told.value.ticksMs.length;
  if (series.length > SERIES_MAX) return err(`these are ${series.length} series, more than ${SERIES_MAX}`);
  if (series.length * ticks > SAMPLES_MAX)
    return err(`these are ${series.length * ticks} samples, more than ${SAMPLES_MAX}`);
  const differences = message['d'];
  if (!(differences instanceof Uint8Array)) return err(`d must be binary, was ${show(differences)}`);
  const values = decodeDifferences(differences, extend(basis.last, added.value.length), ticks);
  if (!values.ok) return values;
  const { epoch, run, everyMs } = basis;
  return ok({
    epoch,
    ...(run === undefined ? {} : { run }),
    ...(everyMs === undefined ? {} : { everyMs }),
    ...told.value,
    series,
    ...joinDescribed(basis, described.value),
    values: values.value,
    keep: true,
  });
}

function findDescribedFault({ described }: Basis, added: readonly MetricDescription[]): string | null {
  if (added.length === 0) return null;
  const count = described.length + added.length;
  if (count > DESCRIPTIONS_MAX) return `these are ${count} descriptions, more than ${DESCRIPTIONS_MAX}`;
  const known = new Set(described.map(([metric]) => metric));
  const twice = added.find(([metric]) => known.has(metric));
  return twice === undefined ? null : `m describes ${twice[0]} twice`;
}

/** A series that the basis has may not come a second time. */
function findAddedFault({ series }: Basis, added: readonly Series[]): string | null {
  if (added.length === 0) return null;
  const known = new Set(series.map((one) => one.join(' ')));
  const twice = added.find((one) => known.has(one.join(' ')));
  return twice === undefined ? null : `the series ${show(twice.join(' '))} is there twice`;
}

function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}
