import { join } from 'node:path';

import { readBytes } from '../../read-text.ts';

const USUAL_BYTES = 4096;
/** AT_PAGESZ. Source: include/uapi/linux/auxvec.h. */
const PAGE_SIZE = 6n;

/** What /proc counts memory in: 4 KiB, on ARM also 16 or 64. Source: getauxval(3), pairs of 64 bits. */
export function readPageBytes(root: string): number {
  try {
    return parsePageBytes(readBytes(join(root, 'proc/self/auxv')));
  } catch {
    return USUAL_BYTES;
  }
}

export function parsePageBytes(auxv: Buffer): number {
  for (let at = 0; at + 16 <= auxv.length; at += 16) {
    if (auxv.readBigUInt64LE(at) === PAGE_SIZE) return Number(auxv.readBigUInt64LE(at + 8));
  }
  return USUAL_BYTES;
}
