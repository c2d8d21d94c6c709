import { crc32 } from 'node:zlib';

import { encodeBlock, type Column } from './native.ts';

/** The first column of a framed block; nobody reads it. */
export const FRAME = { name: 'frame', type: 'UInt64' } as const;

/** As it stands in a block: name and type, each behind its length. */
const MARK = Buffer.from('\u0005frame\u0006UInt64');
/** Its first value: how long the block is, and a checksum of the rest of it. */
const FRAME_BYTES = 8;

/**
 * A block of at least one row that says where it ends and whether it is whole: for the engine it has one column more, of
 * which the first value says so. So blocks may stand one behind the other in a file.
 */
export function encodeFramed(rows: number, columns: readonly Column[]): Buffer {
  const block = encodeBlock(rows, [{ ...FRAME, values: new Float64Array(rows) }, ...columns]);
  const at = block.indexOf(MARK) + MARK.length;
  block.writeUInt32LE(block.length, at);
  block.writeUInt32LE(checksum(block, at), at + 4);
  return block;
}

/** How many bytes from the start of these are whole framed blocks. */
export function readFrames(bytes: Buffer): number {
  let whole = 0;
  for (;;) {
    const rest = bytes.subarray(whole);
    const start = rest.subarray(0, COUNTS_BYTES_MAX + MARK.length).indexOf(MARK);
    const at = start + MARK.length;
    if (start < 0 || rest.length < at + FRAME_BYTES) return whole;
    const length = rest.readUInt32LE(at);
    if (length < at + FRAME_BYTES || length > rest.length) return whole;
    if (checksum(rest.subarray(0, length), at) !== rest.readUInt32LE(at + 4)) return whole;
    whole += length;
  }
}

/** Before the first column stand two numbers of variable length: of columns, and of rows. */
const COUNTS_BYTES_MAX = 10;

function checksum(block: Buffer, at: number): number {
  return crc32(block.subarray(at + FRAME_BYTES), crc32(block.subarray(0, at)));
}
