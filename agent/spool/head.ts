import { crc32 } from 'node:zlib';

/**
 * What was true at the last write: where the next record goes on, and how many samples all records held, so that it is
 * known what is missing when the newest records themselves are.
 */
export type Head = {
  readonly epoch: number;
  readonly seq: number;
  readonly taken: number;
  readonly floor: number;
  readonly floorTaken: number;
  /** The newest tick, and the interval then; 0 before there was one. */
  readonly lastMs: number;
  readonly everyMs: number;
  /** The agent ended in order: nothing that it sampled was left unwritten. */
  readonly isClosed: boolean;
};

const COPY_BYTES = 56;

/** The head twice, so that a write that was torn, or a bit that was flipped, leaves one of the two. */
export function encodeHead(head: Head): Buffer {
  const bytes = Buffer.alloc(COPY_BYTES);
  bytes.writeUInt32LE(head.isClosed ? 1 : 0, 4);
  bytes.writeUInt32LE(head.epoch, 8);
  bytes.writeUInt32LE(head.everyMs, 12);
  bytes.writeDoubleLE(head.seq, 16);
  bytes.writeDoubleLE(head.taken, 24);
  bytes.writeDoubleLE(head.floor, 32);
  bytes.writeDoubleLE(head.floorTaken, 40);
  bytes.writeDoubleLE(head.lastMs, 48);
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return Buffer.concat([bytes, bytes]);
}

/** The first copy that is intact: it is written first. null when none is. */
export function decodeHead(file: Buffer): Head | null {
  for (let at = 0; at + COPY_BYTES <= file.byteLength; at += COPY_BYTES) {
    const bytes = file.subarray(at, at + COPY_BYTES);
    if (crc32(bytes.subarray(4)) !== bytes.readUInt32LE(0)) continue;
    return {
      isClosed: bytes.readUInt32LE(4) === 1,
      epoch: bytes.readUInt32LE(8),
      everyMs: bytes.readUInt32LE(12),
      seq: bytes.readDoubleLE(16),
      taken: bytes.readDoubleLE(24),
      floor: bytes.readDoubleLE(32),
      floorTaken: bytes.readDoubleLE(40),
      lastMs: bytes.readDoubleLE(48),
    };
  }
  return null;
}
