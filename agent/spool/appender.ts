import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

import { makeDirectory } from '../make-directory.ts';

/** A file is removed when all in it is settled: small enough to give back what is done, large enough to be few. */
export const FILE_BYTES = 1024 * 1024;

export type Appender = {
  /** Writes at the end of the file of this number; all or nothing, and throws when it is nothing. */
  readonly append: (bytes: Uint8Array) => { readonly file: number; readonly at: number };
  /** The file that is being written, null before the first. */
  readonly file: () => number | null;
  readonly close: () => void;
};

type Active = { readonly file: number; readonly descriptor: number; bytes: number };

/**
 * Writes one file after the other, numbered from `next`: never one of an earlier process, the end of which may be torn.
 *
 * In the calling thread: the pool's threads may all be held by file servers that are gone, and a write to the page
 * cache takes some 20 µs.
 */
export function openAppender(pathOf: (file: number) => string, first: number): Appender {
  let active: Active | null = null;
  let next = first;

  function open(): Active {
    // Someone may have removed the file: what is written to it then is gone when this process is.
    const isThere = active !== null && fstatSync(active.descriptor).nlink > 0;
    if (active !== null && isThere && active.bytes < FILE_BYTES) return active;
    close();
    makeDirectory(dirname(pathOf(next)));
    const file = next;
    next += 1; // also when it cannot be made: something of that name may be there
    active = { file, descriptor: openSync(pathOf(file), 'wx', 0o600), bytes: 0 };
    return active;
  }

  function close(): void {
    if (active !== null) closeSync(active.descriptor);
    active = null;
  }

  return {
    append: (bytes) => {
      const target = open();
      const at = target.bytes;
      try {
        writeWhole(target.descriptor, bytes, at);
      } catch (cause) {
        // What it has left would be torn. Where that cannot be cut off either, nothing is written behind it.
        if (!isCut(target.descriptor, at)) close();
        throw new Error(`Cannot write to ${pathOf(target.file)}`, { cause });
      }
      target.bytes += bytes.byteLength;
      return { file: target.file, at };
    },
    file: () => active?.file ?? null,
    close,
  };
}

function isCut(descriptor: number, bytes: number): boolean {
  try {
    ftruncateSync(descriptor, bytes);
    return true;
  } catch {
    return false;
  }
}

/** A write may take less than it is given, when the disk is nearly full or a signal comes. */
export function writeWhole(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.byteLength;) {
    done += writeSync(descriptor, bytes, done, bytes.byteLength - done, position + done);
  }
}
