import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { EnrolmentTokenReply } from '@muster/proto/api';
import type { EnrollReply, EnrollRequest } from '@muster/proto/push';
import { isRecord } from '@muster/proto/record';

import type { Caller, Credentials } from './http/auth.ts';
import type { State } from './store/state.ts';

const SESSION_IDLE_MS_MAX = 7 * 86_400_000;
const SESSION_MS_MAX = 30 * 86_400_000;
/** How exactly the last use of a session is kept: a write an hour, not one a request. */
const SESSION_USED_MS = 3_600_000;
/** Long enough to paste a command into a terminal. */
const ENROLMENT_MS_MAX = 15 * 60_000;
/** Enrolment tokens that may wait to be used; each is one host to come. */
const ENROLMENT_TOKENS_MAX = 1_000;
/** A host's id stands in URLs, file names and SQL; a DNS name is at most this long in practice. */
const HOST_LENGTH_MAX = 64;

export type AccessOptions = {
  readonly state: State;
  /** The key of the administrator, from the data directory. */
  readonly accessKey: string;
  /** A host joined, or came back under another name. */
  readonly onHost: (host: string, name: string) => void;
  readonly now: () => number;
};

/** Who may do what: the access key, sessions, enrolment tokens, host tokens. Secrets are kept as SHA-256 only. */
export type Access = ReturnType<typeof openAccess>;

export function openAccess({ state, accessKey, onHost, now }: AccessOptions) {
  const accessKeyHash = hash(accessKey);
  const enrolmentTokens = new Map<string, number>();

  function isAccessKey(key: string): boolean {
    return timingSafeEqual(Buffer.from(hash(key)), Buffer.from(accessKeyHash));
  }

  function authorise({ bearer, sessionId }: Credentials): Caller {
    if (bearer !== null) {
      if (isAccessKey(bearer)) return { kind: 'admin', session: null };
      const token = state.hostTokens.get(hash(bearer));
      return token === undefined ? { kind: 'anyone' } : { kind: 'host', host: token.host };
    }
    const session = sessionId === null ? undefined : state.sessions.get(hash(sessionId));
    if (session === undefined) return { kind: 'anyone' };
    const nowMs = now();
    if (nowMs - session.usedMs > SESSION_IDLE_MS_MAX || nowMs - session.createdMs > SESSION_MS_MAX)
      return { kind: 'anyone' };
    // Not awaited: whether the use was noted decides nothing now, and a broken store shows itself at ingest.
    if (nowMs - session.usedMs > SESSION_USED_MS)
      state.sessions.put({ ...session, usedMs: nowMs }).catch(() => undefined);
    return { kind: 'admin', session: session.hash };
  }

  async function enroll({ token, name, machine }: EnrollRequest): Promise<EnrollReply | null> {
    const key = hash(token);
    const expiresMs = enrolmentTokens.get(key);
    enrolmentTokens.delete(key);
    if (expiresMs === undefined || expiresMs < now()) return null;
    const hosts = [...state.hosts.all()];
    const known = hosts.find((record) => record.machine === machine);
    const host = known?.host ?? chooseHost(name, new Set(hosts.map((record) => record.host)));
    await state.hosts.put({ host, name, machine, enrolledMs: now(), inventory: known?.inventory ?? null });
    for (const old of state.hostTokens.all()) if (old.host === host) await state.hostTokens.remove(old.hash);
    const hostToken = makeSecret();
    await state.hostTokens.put({ hash: hash(hostToken), host, createdMs: now() });
    onHost(host, name);
    return { host, token: hostToken };
  }

  return {
    authorise,
    enroll,
    /** A token for one host to join with, within 15 minutes. It does not survive a restart of the collector. */
    createEnrolmentToken: (): EnrolmentTokenReply => {
      for (const [key, expiresMs] of enrolmentTokens) {
        if (expiresMs < now() || enrolmentTokens.size >= ENROLMENT_TOKENS_MAX) enrolmentTokens.delete(key);
      }
      const token = makeSecret();
      const expiresMs = now() + ENROLMENT_MS_MAX;
      enrolmentTokens.set(hash(token), expiresMs);
      return { token, expiresMs };
    },
    /** The id of a new session, null for a wrong key. */
    openSession: async (key: string): Promise<string | null> => {
      if (!isAccessKey(key)) return null;
      const id = makeSecret();
      await state.sessions.put({ hash: hash(id), createdMs: now(), usedMs: now() });
      return id;
    },
    closeSession: (session: string): Promise<void> => state.sessions.remove(session),
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

/** The host's name made fit for an id, with a number behind it where that is taken: `web-1`, `web-1-2`. */
export function chooseHost(name: string, taken: ReadonlySet<string>): string {
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]+/g, '-')
    .slice(0, HOST_LENGTH_MAX)
    .replaceAll(/^[.-]+|[.-]+$/g, '');
  const base = plain === '' ? 'host' : plain;
  if (!taken.has(base)) return base;
  let suffix = 2;
  while (taken.has(`${base}-${suffix}`)) suffix += 1;
  return `${base}-${suffix}`;
}

/** 256 bits, as text that survives URLs and shells. */
function makeSecret(): string {
  return randomBytes(32).toString('base64url');
}

function hash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
