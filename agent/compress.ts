import { zstdCompressSync, type ZstdOptions } from 'node:zlib';

import type { Telling } from './teller.ts';

/** What a header costs that says that the body is compressed. */
const ENCODING_BYTES = 'content-encoding: zstd\r\n'.length;
/** What is told beside a batch is dense: of less than this, compressing saves a tenth at most, and no byte of the header's. */
const BRIEF_BYTES_MIN = 1_024;

/**
 * The body of a push: compressed, where that makes it shorter. A collector that knows briefs takes one for what it is without
 * a word; one that does not, and refuses it for that, gets it in full.
 */
export function packBody({ message, beside }: Pick<Telling, 'message' | 'beside'>): {
  readonly body: Uint8Array;
  readonly isCompressed: boolean;
} {
  if (beside !== null && message.byteLength < BRIEF_BYTES_MIN) return { body: message, isCompressed: false };
  const body = compress(message);
  const isCompressed = body.byteLength + ENCODING_BYTES < message.byteLength;
  return { body: isCompressed ? body : message, isCompressed };
}

/** Not in the thread pool: calls to file servers that are gone may hold all of it. */
export function compress(message: Uint8Array): Buffer {
  return zstdCompressSync(message, sizedFor(message));
}

/** Told the size, zstd makes its tables to measure: a fifth of the memory and half the time. Not in @types/node yet. */
function sizedFor(message: Uint8Array): ZstdOptions & { readonly pledgedSrcSize: number } {
  return { pledgedSrcSize: message.byteLength };
}
