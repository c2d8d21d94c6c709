import { join } from 'node:path';

import { err, ok, type Result } from '@muster/proto/result';

import { listDirectory } from '../list-directory.ts';
import { readBytes, tryText } from '../read-text.ts';
import type { Source } from '../source.ts';

const EVERY_MS = 30_000;
/** A machine with more sessions than this is counted up to here. */
const SESSIONS_MAX = 1_000;

/** A record of utmp on every 64-bit Linux, and the type of one of somebody who is logged in. Source: utmp(5). */
const RECORD_BYTES = 384;
const USER_PROCESS = 7;

/** How many sessions of people there are: not who they are. */
export function makeUserSource(root: string): Source {
  return {
    name: 'users',
    everyMs: EVERY_MS,
    read: () => {
      const count = countUsers(root);
      if (!count.ok) return ok({ samples: [], remark: count.error });
      return ok({ samples: [{ metric: 'system.user.count', labels: '', value: count.value }] });
    },
  };
}

/** logind knows best; utmp is older, and no longer kept everywhere. */
export function countUsers(root: string): Result<number, string> {
  const directory = join(root, 'run/systemd/sessions');
  const names = listDirectory(directory).filter((name) => !name.endsWith('.ref'));
  if (names.length > 0) {
    const texts = names.slice(0, SESSIONS_MAX).map((name) => tryText(join(directory, name)) ?? '');
    return ok(texts.filter(isUserSession).length);
  }
  const utmp = tryBytes(join(root, 'run/utmp'));
  if (utmp !== null) return ok(countRecords(utmp));
  return listDirectory(join(root, 'run/systemd')).includes('sessions')
    ? ok(0)
    : err('nobody keeps sessions here: neither logind nor utmp');
}

/** Source: systemd, src/login/logind-session.c: a file of `KEY=value` lines. Greeters and services are sessions too. */
export function isUserSession(text: string): boolean {
  return /^CLASS=user(-early|-light)?$/m.test(text) && /^STATE=(active|online)$/m.test(text);
}

export function countRecords(utmp: Buffer): number {
  let count = 0;
  for (let at = 0; at + RECORD_BYTES <= utmp.length; at += RECORD_BYTES) {
    if (utmp.readInt16LE(at) === USER_PROCESS) count += 1;
  }
  return count;
}

function tryBytes(path: string): Buffer | null {
  try {
    return readBytes(path);
  } catch {
    return null;
  }
}
