import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { isRecord } from '@muster/proto/record';

import type { Authorise } from './http/auth.ts';
import { hashSecret, isSecret, makeSecret } from './secret.ts';
import type { Sessions } from './sessions.ts';
import type { HostToken, StateTable } from './store/state.ts';

/** Says who asks: by the access key, by a host's token, by a session. A bearer token that is sent decides alone. */
export function makeAuthorise(accessKey: string, hostTokens: StateTable<HostToken>, sessions: Sessions): Authorise {
  const accessKeyHash = hashSecret(accessKey);
  return ({ bearer, sessionId }) => {
    if (bearer !== null) {
      if (isSecret(bearer, accessKeyHash)) return { kind: 'admin', session: null };
      const token = hostTokens.get(hashSecret(bearer));
      return token === undefined ? { kind: 'anyone' } : { kind: 'host', host: token.host };
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
