import { closeSync, constants, lstatSync, openSync, readdirSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { describeError } from '@muster/proto/log';

import { codeOf } from '../code-of.ts';
import { makeDirectory } from '../make-directory.ts';
import { readBytes } from '../read-text.ts';
import { openAppender, writeWhole } from './appender.ts';
import { decodeHead, encodeHead, type Head } from './head.ts';
import { findRecords, type Found } from './record.ts';
import type { Place } from './recover.ts';

/** The files of a spool: records in numbered files, written one after the other, and the head beside them. */
export type SpoolFiles = {
  /** What all files hold together, the head left out. */
  readonly bytes: () => number;
  /** The records of every file, one file after the other. */
  readonly readAll: () => Iterable<readonly [file: number, records: readonly Found[]]>;
  readonly readHead: () => Head | null;
  /** Writes records at the end, all or none; throws when that cannot be done. */
  readonly append: (records: readonly Buffer[]) => readonly Place[];
  /** Throws when it cannot be written; the one before it holds then. */
  readonly writeHead: (head: Head) => void;
  /** Throws when it cannot be read, and gives less than there was when the file has become shorter. */
  readonly read: (place: Place) => Buffer;
  /** Removes the files before `file`, but for the one that is being written. */
  readonly removeBefore: (file: number) => void;
  /** Removes all files, the one that is being written too; another is begun with the next record. */
  readonly removeAll: () => void;
  readonly close: () => void;
};

/** `onFault` is told of what is there and cannot be read; it counts as not there. */
export function openSpoolFiles(directory: string, onFault: (reason: string) => void): SpoolFiles {
  const sizes = readSizes(directory, onFault);
  const pathOf = (file: number): string => join(directory, `${String(file).padStart(8, '0')}.records`);
  const appender = openAppender(pathOf, Math.max(0, ...sizes.keys()) + 1);

  function removeBefore(file: number): void {
    for (const old of sizes.keys()) {
      if (old >= file || old === appender.file()) continue;
      rmSync(pathOf(old), { force: true, recursive: true });
      sizes.delete(old);
    }
  }

  return {
    bytes: () => [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0),
    *readAll() {
      for (const file of [...sizes.keys()].toSorted((a, b) => a - b)) {
        const bytes = readOrNull(pathOf(file), onFault);
        yield [file, bytes === null ? [] : findRecords(bytes)];
      }
    },
    readHead: () => {
      const bytes = readOrNull(join(directory, 'head'), onFault);
      return bytes === null ? null : decodeHead(bytes);
    },
    append: (records) => {
      const { file, at: start } = appender.append(Buffer.concat(records));
      let at = start;
      const places = records.map(({ byteLength: bytes }): Place => {
        at += bytes;
        return { file, at: at - bytes, bytes };
      });
      sizes.set(file, at);
      return places;
    },
    writeHead: (head) => {
      // Made where it is missing, never cut: there is no moment at which neither copy is there.
      makeDirectory(directory);
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK; // a pipe is not waited for
      const descriptor = openSync(join(directory, 'head'), flags, 0o600);
      try {
        writeWhole(descriptor, encodeHead(head), 0);
      } finally {
        closeSync(descriptor);
      }
    },
    read: (place) => readPart(pathOf(place.file), place),
    removeBefore,
    removeAll: () => {
      // One that is empty is not among them: it stays, to be written when there is room.
      const active = appender.file();
      if (active !== null && sizes.has(active)) appender.close();
      removeBefore(Infinity);
    },
    close: appender.close,
  };
}

const FILE_PATTERN = /^(\d{8,15})\.records$/;

function readSizes(directory: string, onFault: (reason: string) => void): Map<number, number> {
  const sizes = new Map<number, number>();
  try {
    for (const name of readdirSync(directory)) {
      const number = FILE_PATTERN.exec(name)?.[1];
      if (number !== undefined) sizes.set(Number(number), lstatSync(join(directory, name)).size);
    }
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT') onFault(describeError(cause));
  }
  return sizes;
}

function readOrNull(path: string, onFault: (reason: string) => void): Buffer | null {
  try {
    return readBytes(path);
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT') onFault(describeError(cause));
    return null;
  }
}

function readPart(path: string, { at, bytes }: Place): Buffer {
  const descriptor = openSync(path, 'r');
  try {
    const part = Buffer.alloc(bytes);
    return part.subarray(0, readSync(descriptor, part, 0, bytes, at));
  } finally {
    closeSync(descriptor);
  }
}
