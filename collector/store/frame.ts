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

/** The framed blocks in these bytes that are whole, also behind and between others that are not. */
export function findFrames(bytes: Buffer): readonly Buffer[] {
  const frames: Buffer[] = [];
  let from = 0;
  for (let mark = bytes.indexOf(MARK); mark >= 0; mark = bytes.indexOf(MARK, Math.max(from, mark + 1))) {
    // Behind a whole one it is the first that is tried.
    for (let start = Math.max(from, mark - COUNTS_BYTES_MAX); start < mark; start += 1) {
      const length = measureFrame(bytes.subarray(start), mark - start + MARK.length);
      if (length === 0) continue;
      from = start + length;
      frames.push(bytes.subarray(start, from));
      break;
    }
  }
  return frames;
}

/** How long the block at the start of these bytes is, whose first value is at a place; 0: it is not whole. */
function measureFrame(bytes: Buffer, at: number): number {
  if (bytes.length < at + FRAME_BYTES) return 0;
  const length = bytes.readUInt32LE(at);
  if (length < at + FRAME_BYTES || length > bytes.length) return 0;
  return checksum(bytes.subarray(0, length), at) === bytes.readUInt32LE(at + 4) ? length : 0;
}

/** Before the first column stand two numbers of variable length: of columns, and of rows. */
const COUNTS_BYTES_MAX = 10;

function checksum(block: Buffer, at: number): number {
  return crc32(block.subarray(at + FRAME_BYTES), crc32(block.subarray(0, at)));
}
