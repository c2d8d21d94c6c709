import { err, ok, type Result } from '@muster/proto/result';

import { codeOf } from '../../code-of.ts';
import { readNamedText } from '../../read-text.ts';
import type { Failure, Header } from './check.ts';

export const HEADERS_MAX = 32;
/** So many headers of the greatest length, and some words about them. */
const FILE_BYTES_MAX = 256 * 1024;
/** RFC 9110, section 5.6.2. */
export const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
/** What may be seen, and spaces within: no line can begin in it. */
export const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e\t]{0,4094}[\x21-\x7e])?$/;
/** How long the request is, and what becomes of its connection, is for us to say. */
export const HEADERS_OWN: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The headers of a file, `Name: value`, a line each; empty lines and those after a `#` say nothing. No word of it is told. */
export function readHeaderFile(path: string | null): Result<readonly Header[], Failure> {
  if (path === null) return ok([]);
  let text: string | null;
  try {
    text = readNamedText(path, FILE_BYTES_MAX);
  } catch (cause) {
    return err({ type: 'setup', words: `the header file cannot be read (${reasonOf(cause)})` });
  }
  if (text === null) return err({ type: 'setup', words: 'the header file cannot be read (ENOENT)' });
  const headers: Header[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const at = line.indexOf(':');
    const name = line.slice(0, at);
    const value = line.slice(at + 1).trim();
    if (at === -1 || !isHeader(name, value) || headers.length === HEADERS_MAX) {
      return err({ type: 'setup', words: `line ${i + 1} of the header file is no "Name: value" of a request` });
    }
    headers.push([name, value]);
  }
  return ok(headers);
}

/** Never with the path, which is nobody's business but the owner's. */
function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error ? cause.cause : null;
  if (!(inner instanceof Error)) return 'it is no file';
  return codeOf(inner) || inner.message;
}

export function isHeader(name: string, value: string): boolean {
  return HEADER_NAME.test(name) && !HEADERS_OWN.has(name.toLowerCase()) && HEADER_VALUE.test(value);
}
