import { resolve } from 'node:path';

import { isRecord } from '@muster/proto/record';

/** A longer path is cut: what to do is said behind it. */
const SHOWN_CHARACTERS_MAX = 200;

/**
 * An error of the system about a path in the data directory or above it, as a sentence that says what to do; null for
 * any other.
 */
export function explainDataFault(directory: string, error: unknown): Error | null {
  if (!isRecord(error)) return null;
  const { code, path } = error;
  const fault = FAULTS.get(String(code));
  if (fault === undefined || typeof path !== 'string') return null;
  const [inner, outer] = [resolve(path), resolve(directory)];
  if (!inner.startsWith(outer) && !outer.startsWith(inner)) return null;
  return new Error(`Cannot use the data directory ${shorten(directory)}: ${fault(shorten(path), directory)}`);
}

const ANOTHER = 'choose another with --data';
const noRight = (path: string): string =>
  `user ${process.geteuid?.() ?? 'of this process'} may not write ${path}; give it to that user (chown -R), or ${ANOTHER}`;
const noDirectory = (path: string): string => `${path} is no directory, or something above it is none; ${ANOTHER}`;
const full = (): string => `its disk is full; free space on it, or ${ANOTHER}`;

const FAULTS = new Map<string, (path: string, directory: string) => string>([
  ['EACCES', noRight],
  ['EPERM', noRight],
  ['EROFS', () => `its file system is read-only; mount it writable, or ${ANOTHER}`],
  ['EEXIST', noDirectory],
  ['ENOTDIR', noDirectory],
  ['ENOENT', (path) => `${path} cannot be made, or is a symbolic link to nothing; ${ANOTHER}`],
  ['ELOOP', (path) => `${path} is a symbolic link that leads back to itself; ${ANOTHER}`],
  ['ENAMETOOLONG', (_path, directory) => `its path, of ${directory.length} characters, is too long; ${ANOTHER}`],
  ['ENOSPC', full],
  ['EDQUOT', full],
]);

function shorten(path: string): string {
  return path.length > SHOWN_CHARACTERS_MAX ? `${path.slice(0, SHOWN_CHARACTERS_MAX)}…` : path;
}
