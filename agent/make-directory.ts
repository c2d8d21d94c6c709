import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

import { isRecord } from '@muster/proto/record';

/**
 * Makes a directory, and those above it, where it is missing, for nobody but this user. Throws when that cannot be done.
 *
 * Node's own `recursive` tries for ever where the kernel says ENOENT though the parent is there: in /proc, and where an
 * automounter knows no such name.
 */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    const code = isRecord(cause) ? cause['code'] : null;
    if (code === 'EEXIST' && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
    if (code !== 'ENOENT' || existsSync(dirname(path))) throw cause;
    makeDirectory(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
}
