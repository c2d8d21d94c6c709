import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { isRecord } from '@muster/proto/record';

import type { Authorise } from './http/auth.ts';
import { hashSecret, isSecret, makeSecret } from './secret.ts';
import type { Sessions } from './sessions.ts';
import type { HostToken, StateTable } from './store/state.ts';

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
      if (isSecret(bearer, accessKeyHash)) return { kind: 'admin', session: null };
      const token = hostTokens.get(hashSecret(bearer));
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

/** Reads the access key of a data directory, and makes one, readable by its owner only, where there is none. */
export async function readAccessKey(directory: string): Promise<string> {
  const file = join(directory, 'access-key');
  const key = makeSecret();
  try {
    await writeFile(file, `${key}\n`, { flag: 'wx', mode: 0o600 });
    return key;
  } catch (error) {
    if (!isRecord(error) || error['code'] !== 'EEXIST') throw error;
  }
  const kept = (await readFile(file, 'utf8')).trim();
  if (kept.length < 32) throw new Error(`Cannot use ${file}: it holds no key; delete it and a new one is made`);
  return kept;
}
