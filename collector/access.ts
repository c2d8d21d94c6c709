import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { isRecord } from '@muster/proto/record';

import type { Authorise } from './http/auth.ts';
import { areSameHash, hashSecret, makeSecret } from './secret.ts';
import type { Sessions } from './sessions.ts';
import type { HostToken, StateTable } from './store/state.ts';
import { syncPath } from './store/sync.ts';

export type AuthoriseOptions = {
  readonly accessKey: string;
  readonly hostTokens: StateTable<HostToken>;
  readonly sessions: Sessions;
  /** Told once of each token that is used although its host has enrolled anew: its machine id lives twice. */
  readonly onReplacedUsed: (token: HostToken) => void;
};

/** Says who asks: by the access key, by a host's token, by a session. A bearer token that is sent decides alone. */
export function makeAuthorise({ accessKey, hostTokens, sessions, onReplacedUsed }: AuthoriseOptions): Authorise {
  const accessKeyHash = hashSecret(accessKey);
  const told = new WeakSet<HostToken>();
  return ({ bearer, sessionId }) => {
    if (bearer !== null) {
      const hash = hashSecret(bearer);
      if (areSameHash(hash, accessKeyHash)) return { kind: 'admin', session: null };
      const token = hostTokens.get(hash);
      if (token === undefined) return { kind: 'anyone' };
      if (token.state === 'live') return { kind: 'host', host: token.host, token: token.hash };
      if (token.state === 'replaced' && !told.has(token)) {
        told.add(token);
        onReplacedUsed(token);
      }
      return { kind: 'anyone', ended: token.state };
    }
    const session = sessionId === null ? null : sessions.find(sessionId);
    return session === null ? { kind: 'anyone' } : { kind: 'admin', session };
  };
}

/**
 * Reads the access key of a data directory, which must be locked (lock.ts), and makes one, readable by its owner only,
 * where there is none. A key that a kill or a full disk has cut off is never in its place.
 */
export async function readAccessKey(directory: string): Promise<string> {
  const file = join(directory, 'access-key');
  const kept = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isRecord(error) && error['code'] === 'ENOENT') return null;
    throw error;
  });
  if (kept === null) {
    const key = makeSecret();
    await rm(`${file}.new`, { force: true }); // what is there may be readable by others
    // Put on the disk at once, whatever else is: who has copied the key must find it to be the one.
    await writeFile(`${file}.new`, `${key}\n`, { flag: 'wx', mode: 0o600, flush: true });
    await rename(`${file}.new`, file);
    await syncPath(directory);
    return key;
  }
  if (kept.trim().length < 32) throw new Error(`Cannot use ${file}: it holds no key; delete it and a new one is made`);
  return kept.trim();
}
