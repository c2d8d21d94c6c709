import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

import { err, ok, type Result } from '@muster/proto/result';

import { codeOf } from '../../code-of.ts';

/** What a file may take: 10,000 samples with long labels. */
export const FILE_BYTES_MAX = 1024 * 1024;
/** The same of all files together: a mebibyte of text is 25 of memory when it has been read. */
export const ALL_BYTES_MAX = 2 * FILE_BYTES_MAX;

/** `version` differs where the file does. */
export type FileText = {
  readonly version: string;
  readonly mtimeMs: number;
  readonly bytes: number;
  readonly text: string;
};

/** `known`: the version that was read last. `bytesLeft`: what the files before it leave of ALL_BYTES_MAX. */
export type Reading = { readonly known: string | null; readonly bytesLeft: number };

/**
 * The text of a file that others write, whatever they have put there; an error says what is wrong with it, in words. It
 * waits for nobody, follows no link, and reads no more than it may. Null: it is still of the version that is known.
 */
export function readFile(path: string, { known, bytesLeft }: Reading): Result<FileText | null, string> {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (cause) {
    return err(describe(cause));
  }
  try {
    const stats = fstatSync(descriptor);
    const { size, mtimeMs, ino } = stats;
    if (!stats.isFile()) return err('it is no file');
    if (size > FILE_BYTES_MAX) return err(`it has ${size} bytes, more than ${FILE_BYTES_MAX}`);
    if (size > bytesLeft) return err(`with it all files have more than ${ALL_BYTES_MAX} bytes: write fewer`);
    const version = `${ino} ${mtimeMs} ${size}`;
    if (version === known) return ok(null);
    const bytes = Buffer.alloc(size);
    let end = 0;
    for (let read = -1; read !== 0 && end < size; end += read)
      read = readSync(descriptor, bytes, end, size - end, null);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, end));
    return ok({ version, mtimeMs, bytes: size, text });
  } catch (cause) {
    return err(describe(cause));
  } finally {
    closeSync(descriptor);
  }
}

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'the agent may not read it: make it readable by everybody (chmod a+r)',
  ELOOP: 'it is a symbolic link: put the file itself here',
  ENXIO: 'it is no file',
  ERR_ENCODING_INVALID_ENCODED_DATA: 'it is not UTF-8',
};

function describe(cause: unknown): string {
  const code = codeOf(cause);
  return WORDS[code] ?? `it cannot be read (${code})`;
}
