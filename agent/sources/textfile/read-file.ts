import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

import { err, ok, type Result } from '@muster/proto/result';

/** What a file may take: 10,000 samples with long labels. */
export const FILE_BYTES_MAX = 1024 * 1024;

/** `version` differs where the file does. */
export type FileText = { readonly version: string; readonly mtimeMs: number; readonly text: string };

/**
 * The text of a file that others write, whatever they have put there; an error says what is wrong with it, in words. It
 * waits for nobody, follows no link, and reads no more than it may. Null: it is still of the version `known`.
 */
export function readFile(path: string, known: string | null): Result<FileText | null, string> {
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
    const version = `${ino} ${mtimeMs} ${size}`;
    if (version === known) return ok(null);
    const bytes = Buffer.alloc(size);
    let end = 0;
    for (let read = -1; read !== 0 && end < size; end += read)
      read = readSync(descriptor, bytes, end, size - end, null);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, end));
    return ok({ version, mtimeMs, text });
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
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return WORDS[code] ?? `it cannot be read (${code})`;
}
