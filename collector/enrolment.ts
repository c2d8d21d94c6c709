import type { EnrolmentTokenReply } from '@muster/proto/api';
import type { EnrollReply, EnrollRequest } from '@muster/proto/push';

import { hashSecret, makeSecret } from './secret.ts';
import type { State } from './store/state.ts';

/** Long enough to paste a command into a terminal. */
const TOKEN_MS_MAX = 15 * 60_000;
/** Tokens that may wait to be used; each is one host to come. */
const TOKENS_MAX = 1_000;
/** A host's id stands in URLs, file names and SQL; a DNS name is at most this long in practice. */
const HOST_LENGTH_MAX = 64;

export type EnrolmentOptions = {
  readonly state: State;
  /** A host joined, or came back under another name. */
  readonly onHost: (host: string, name: string) => void;
  readonly now: () => number;
};

/** `machine`: the one that has used it, null before that. */
type Token = { readonly expiresMs: number; machine: string | null };

/** How hosts join: a short-lived token is exchanged for an id and a token of the host's own. */
export type Enrolment = {
  /** A token for one host, good for 15 minutes. It does not survive a restart of the collector. */
  readonly createToken: () => EnrolmentTokenReply;
  /** null: the token is unknown, used by another machine, or expired. A machine that comes back gets its id again. */
  readonly enroll: (request: EnrollRequest) => Promise<EnrollReply | null>;
};

export function makeEnrolment({ state, onHost, now }: EnrolmentOptions): Enrolment {
  const tokens = new Map<string, Token>();
  let enrolling: Promise<unknown> = Promise.resolve();

  async function enroll({ token, name, machine }: EnrollRequest): Promise<EnrollReply | null> {
    const known = tokens.get(hashSecret(token));
    if (known === undefined || known.expiresMs < now()) return null;
    // The machine that used it may ask again: the answer may have been lost on its way.
    if (known.machine !== null && known.machine !== machine) return null;
    const hosts = [...state.hosts.all()];
    const before = hosts.find((record) => record.machine === machine);
    const host = before?.host ?? chooseHost(name, new Set(hosts.map((record) => record.host)));
    await state.hosts.put({ host, name, machine, enrolledMs: now(), inventory: before?.inventory ?? null });
    for (const old of state.hostTokens.all()) if (old.host === host) await state.hostTokens.remove(old.hash);
    const hostToken = makeSecret();
    await state.hostTokens.put({ hash: hashSecret(hostToken), host, createdMs: now() });
    known.machine = machine;
    onHost(host, name);
    return { host, token: hostToken };
  }

  return {
    createToken() {
      for (const [key, { expiresMs }] of tokens) if (expiresMs < now() || tokens.size >= TOKENS_MAX) tokens.delete(key);
      const token = makeSecret();
      const expiresMs = now() + TOKEN_MS_MAX;
      tokens.set(hashSecret(token), { expiresMs, machine: null });
      return { token, expiresMs };
    },
    enroll(request) {
      // One after the other: two hosts of one name that come at once must not get one id.
      const reply = enrolling.then(() => enroll(request));
      enrolling = reply.catch(() => undefined);
      return reply;
    },
  };
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
