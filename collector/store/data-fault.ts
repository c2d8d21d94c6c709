import { resolve } from 'node:path';

import { isRecord } from '@muster/proto/record';

/** A longer path is cut: what to do is said behind it. */
const SHOWN_CHARACTERS_MAX = 200;

/** A directory that people have chosen: what they call it, by which option they choose another, and how it gets free. */
export type ChosenDirectory = {
  readonly name: string;
  readonly option: string;
  readonly whenHeld: (pid: number) => string;
};
export const DATA_DIRECTORY: ChosenDirectory = {
  name: 'data directory',
  option: '--data',
  whenHeld: (pid) => `stop that one (kill ${pid})`,
};
/** Held only for as long as a backup is made or verified. */
export const BACKUP_FOLDER: ChosenDirectory = {
  name: 'folder of backups',
  option: '--backup-to',
  whenHeld: () => 'wait until it has done its work there',
};

/**
 * An error of the system about a path in a directory or above it, as a sentence that says what to do; null for any other.
 */
export function explainDataFault(
  directory: string,
  error: unknown,
  { name, option }: ChosenDirectory = DATA_DIRECTORY,
): Error | null {
  if (!isRecord(error)) return null;
  const { code, path } = error;
  const fault = FAULTS.get(String(code));
  if (fault === undefined || typeof path !== 'string') return null;
  const [inner, outer] = [resolve(path), resolve(directory)];
  if (!inner.startsWith(outer) && !outer.startsWith(inner)) return null;
  const said = fault(shorten(path), directory);
  return new Error(`Cannot use the ${name} ${shorten(directory)}: ${said} choose another with ${option}`);
}

const noRight = (path: string): string =>
  `user ${process.geteuid?.() ?? 'of this process'} may not write ${path}; give it to that user (chown -R), or`;
const noDirectory = (path: string): string => `${path} is no directory, or something above it is none;`;
const full = (): string => 'its disk is full; free space on it, or';

/** Each ends so that what else helps can follow. */
const FAULTS = new Map<string, (path: string, directory: string) => string>([
  ['EACCES', noRight],
  ['EPERM', noRight],
  ['EROFS', () => 'its file system is read-only; mount it writable, or'],
  ['EEXIST', noDirectory],
  ['ENOTDIR', noDirectory],
  ['EISDIR', (path) => `${path} is a directory where a file should be; move it away, or`],
  ['ENOENT', (path) => `${path} cannot be made, or is a symbolic link to nothing;`],
  ['ELOOP', (path) => `${path} is a symbolic link that leads back to itself;`],
  ['ENAMETOOLONG', (_path, directory) => `its path, of ${directory.length} characters, is too long;`],
  ['ENOSPC', full],
  ['EDQUOT', full],
]);

function shorten(path: string): string {
  return path.length > SHOWN_CHARACTERS_MAX ? `${path.slice(0, SHOWN_CHARACTERS_MAX)}…` : path;
}
