import { statSync } from 'node:fs';
import { join } from 'node:path';

import { splitLines, tryText } from '../../read-text.ts';

/** A host with more users than this has them somewhere else than in this file. */
const USERS_MAX = 10_000;

export type Owners = {
  /** Looks whether etc/passwd has changed; called once a reading. */
  readonly refresh: () => void;
  /** The name of a user, and the number of one that is not in etc/passwd: a container's, or a directory service's. */
  readonly nameOf: (uid: number) => string;
};

export function makeOwners(root: string): Owners {
  const path = join(root, 'etc/passwd');
  let names: ReadonlyMap<number, string> = new Map();
  let changedMs = Number.NaN;
  return {
    refresh: () => {
      const nowMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
      if (nowMs === changedMs) return;
      changedMs = nowMs;
      names = parseUsers(tryText(path) ?? '');
    },
    nameOf: (uid) => names.get(uid) ?? (uid === 0 ? 'root' : String(uid)),
  };
}

/** Source: passwd(5). Of two names for one number the first counts, as it does in getpwuid(3). */
export function parseUsers(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of splitLines(text)) {
    const [name = '', , uid = ''] = line.split(':');
    if (name === '' || !/^\d{1,10}$/.test(uid) || names.has(Number(uid)) || names.size >= USERS_MAX) continue;
    names.set(Number(uid), name);
  }
  return names;
}
