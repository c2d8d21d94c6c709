import { crc32 } from 'node:zlib';

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

export const HEADER_BYTES = 80;
/** Larger than any batch: what claims more is no header. */
const PAYLOAD_BYTES_MAX = 4 * 1024 * 1024;
const MAGIC = Buffer.from('MSR1');

/** One record: magic, CRC-32 of the header, CRC-32 and length of the payload, the header, the payload. */
export function encodeRecord(header: Header, payload: Uint8Array): Buffer {
  const record = Buffer.alloc(HEADER_BYTES + payload.byteLength);
  record.set(MAGIC);
  record.writeUInt32LE(crc32(payload), 8);
  record.writeUInt32LE(payload.byteLength, 12);
  record.writeUInt32LE(KINDS.indexOf(header.kind), 16);
  record.writeUInt32LE(header.epoch, 20);
  record.writeDoubleLE(header.seq, 24);
  record.writeUInt32LE(header.samples, 32);
  record.writeUInt32LE(header.everyMs, 36);
  record.writeDoubleLE(header.taken, 40);
  record.writeDoubleLE(header.fromMs, 48);
  record.writeDoubleLE(header.toMs, 56);
  record.writeDoubleLE(header.floor, 64);
  record.writeDoubleLE(header.floorTaken, 72);
  record.writeUInt32LE(crc32(record.subarray(8, HEADER_BYTES)), 4);
  record.set(payload, HEADER_BYTES);
  return record;
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
  if (at + HEADER_BYTES > file.byteLength || file.compare(MAGIC, 0, MAGIC.length, at, at + MAGIC.length) !== 0) {
    return null;
  }
  const bytes = file.subarray(at, at + HEADER_BYTES);
  if (crc32(bytes.subarray(8)) !== bytes.readUInt32LE(4)) return null;
  const kind = KINDS[bytes.readUInt32LE(16)];
  const payloadBytes = bytes.readUInt32LE(12);
  if (kind === undefined || payloadBytes > PAYLOAD_BYTES_MAX) return null;
  const payload = file.subarray(at + HEADER_BYTES, at + HEADER_BYTES + payloadBytes);
  const isWhole = payload.byteLength === payloadBytes && crc32(payload) === bytes.readUInt32LE(8);
  return {
    at,
    bytes: HEADER_BYTES + payloadBytes,
    header: {
      kind,
      epoch: bytes.readUInt32LE(20),
      seq: bytes.readDoubleLE(24),
      samples: bytes.readUInt32LE(32),
      everyMs: bytes.readUInt32LE(36),
      taken: bytes.readDoubleLE(40),
      fromMs: bytes.readDoubleLE(48),
      toMs: bytes.readDoubleLE(56),
      floor: bytes.readDoubleLE(64),
      floorTaken: bytes.readDoubleLE(72),
    },
    payload: isWhole ? payload : null,
  };
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
