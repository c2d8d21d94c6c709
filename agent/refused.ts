import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { makeDirectory } from './make-directory.ts';

/** What is kept of refused batches, to find out why: enough to see a pattern, too little to fill a disk. */
const FILES_MAX = 32;
const BYTES_MAX = 8 * 1024 * 1024;

/** `message`: the batch as it would be sent, before compression. */
export type RefusedBatch = {
  readonly epoch: number;
  readonly seq: number;
  readonly atMs: number;
  readonly reason: string;
  readonly message: Uint8Array;
};

/**
 * Keeps a batch that the collector refused, with the reason beside it; the oldest go first when there are too many.
 * Gives the path of the batch, and throws when it cannot be written.
 */
export function keepRefused(directory: string, { epoch, seq, atMs, reason, message }: RefusedBatch): string {
  makeDirectory(directory);
  const name = `${atMs}-${epoch}-${seq}`;
  const path = join(directory, `${name}.msgpack`);
  writeFileSync(path, message, { mode: 0o600 });
  writeFileSync(join(directory, `${name}.json`), `${JSON.stringify({ epoch, seq, atMs, reason })}\n`, { mode: 0o600 });
  removeOldest(directory, name);
  return path;
}

/** Names begin with the time: the order of names is that of age, as long as the number of digits stays. */
function removeOldest(directory: string, newest: string): void {
  const names = readdirSync(directory)
    .filter((name) => name.endsWith('.msgpack'))
    .map((name) => name.slice(0, -'.msgpack'.length))
    .toSorted();
  let bytes = 0;
  for (const [age, name] of names.toReversed().entries()) {
    bytes += statSync(join(directory, `${name}.msgpack`)).size;
    if (name === newest || (age < FILES_MAX && bytes <= BYTES_MAX)) continue;
    for (const suffix of ['msgpack', 'json']) rmSync(join(directory, `${name}.${suffix}`), { force: true });
  }
}
