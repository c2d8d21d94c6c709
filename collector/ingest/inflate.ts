import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';

import { INFLATED_BYTES_MAX } from '@muster/proto/push';
import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

const gunzipAsync = promisify(gunzip);
const zstdDecompressAsync = promisify(zstdDecompress);

/** Inflations at once: each may take up to the limit in memory, and the machine has few cores for more. */
const INFLATIONS_MAX = 4;

export type InflateFault = 'malformed' | 'too-large' | 'unknown-encoding';

/**
 * Undoes a Content-Encoding (zstd, gzip, or none), never beyond the limit: 512 MB of zeros are 15.6 KB of zstd. A few
 * at a time, the others wait.
 */
export function makeInflate(): (body: Uint8Array, encoding: string) => Promise<Result<Uint8Array, InflateFault>> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (body, encoding) => {
    if (running >= INFLATIONS_MAX) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await inflate(body, encoding);
    } finally {
      // Whoever waits takes over the place.
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}

async function inflate(body: Uint8Array, encoding: string): Promise<Result<Uint8Array, InflateFault>> {
  const limit = { maxOutputLength: INFLATED_BYTES_MAX };
  try {
    switch (encoding.trim().toLowerCase()) {
      case 'zstd':
        return ok(await zstdDecompressAsync(body, limit));
      case 'gzip':
        return ok(await gunzipAsync(body, limit));
      case '':
      case 'identity':
        return ok(body);
      default:
        return err('unknown-encoding');
    }
  } catch (error) {
    return err(isRecord(error) && error['code'] === 'ERR_BUFFER_TOO_LARGE' ? 'too-large' : 'malformed');
  }
}
