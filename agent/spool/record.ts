import { crc32 } from 'node:zlib';

import { countFieldBytes, decodeFields, encodeFields } from './fields.ts';

/**
 * What stands before every record, in 80 bytes of little-endian numbers.
 *
 * `samples` are those of this record, `taken` all of its epoch up to and including it, so that of records which are lost
 * it is known how many samples they held. Every record before `floor` is settled, or was given up and counted; those
 * held `floorTaken` samples. Ticks lie from `fromMs` to `toMs`, `everyMs` apart; all three are 0 where there are none.
 */
export type Header = {
  readonly kind: RecordKind;
  readonly epoch: number;
  readonly seq: number;
  readonly samples: number;
  readonly everyMs: number;
  readonly taken: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly floor: number;
  readonly floorTaken: number;
};

/** `batch`: ticks, events, an inventory. `settled`: which records before it wait no longer. */
export type RecordKind = 'batch' | 'settled';
const KINDS: readonly RecordKind[] = ['batch', 'settled'];

const LAYOUT = {
  payloadCrc: 4,
  payloadBytes: 4,
  kind: 4,
  epoch: 4,
  seq: 8,
  samples: 4,
  everyMs: 4,
  taken: 8,
  fromMs: 8,
  toMs: 8,
  floor: 8,
  floorTaken: 8,
} as const;
/** Larger than any batch: what claims more is no header. */
const PAYLOAD_BYTES_MAX = 4 * 1024 * 1024;
const MAGIC = Buffer.from('MSR1');
export const HEADER_BYTES = MAGIC.byteLength + countFieldBytes(LAYOUT);

/** One record: magic, header, payload. */
export function encodeRecord(header: Header, payload: Uint8Array): Buffer {
  const kind = KINDS.indexOf(header.kind);
  const { byteLength: payloadBytes } = payload;
  const fields = encodeFields(LAYOUT, { ...header, kind, payloadBytes, payloadCrc: crc32(payload) });
  return Buffer.concat([MAGIC, fields, payload]);
}

/** `payload` is null where its checksum does not hold; `bytes` is the whole length, the header's included. */
export type Found = {
  readonly at: number;
  readonly bytes: number;
  readonly header: Header;
  readonly payload: Buffer | null;
};

/** The record that begins at `at`, or null when none does. */
export function decodeRecord(file: Buffer, at: number): Found | null {
  if (!file.subarray(at, at + MAGIC.byteLength).equals(MAGIC)) return null;
  const fields = decodeFields(LAYOUT, file, at + MAGIC.byteLength);
  if (fields === null) return null;
  const { payloadBytes, payloadCrc, ...numbers } = fields;
  const kind = KINDS[numbers.kind];
  if (kind === undefined || payloadBytes > PAYLOAD_BYTES_MAX) return null;
  const bytes = HEADER_BYTES + payloadBytes;
  const payload = file.subarray(at + HEADER_BYTES, at + bytes);
  const isWhole = payload.byteLength === payloadBytes && crc32(payload) === payloadCrc;
  return { at, bytes, header: { ...numbers, kind }, payload: isWhole ? payload : null };
}

/**
 * Every record of a file, in whatever state it is: what is damaged is passed over up to the next record. A record
 * whose header holds and whose payload does not is among them; it may have been cut off by the one that follows.
 */
export function findRecords(file: Buffer): readonly Found[] {
  const found: Found[] = [];
  for (let at = 0; at >= 0 && at < file.byteLength;) {
    const record = decodeRecord(file, at);
    if (record !== null) found.push(record);
    at = record === null || record.payload === null ? file.indexOf(MAGIC, at + 1) : at + record.bytes;
  }
  return found;
}

/** Records that wait no longer, and how many samples each held. */
export type Settled = readonly (readonly [seq: number, samples: number])[];

export function encodeSettled(settled: Settled): Uint8Array {
  return new Uint8Array(Float64Array.from(settled.flat()).buffer);
}

export function decodeSettled(payload: Buffer): Settled {
  const pairs: [number, number][] = [];
  for (let at = 0; at + 16 <= payload.byteLength; at += 16) {
    pairs.push([payload.readDoubleLE(at), payload.readDoubleLE(at + 8)]);
  }
  return pairs;
}
