import type { EnrolmentTokenReply, EnrolmentTokenRequest } from '@muster/proto/api';
import type { EnrollReply, EnrollRequest } from '@muster/proto/push';
import { ok, type Result } from '@muster/proto/result';

import { makeEnrolmentTokens } from './enrolment-tokens.ts';
import type { EnrollFault } from './http/routes/enroll.ts';
import { hashSecret, makeSecret } from './secret.ts';
import type { State } from './store/state.ts';
import { makeTurns } from './store/turns.ts';

/** Of one host. Whoever sends with an older one is told no more than that it is unknown. */
const REPLACED_TOKENS_MAX = 8;
/** A host's id stands in URLs, file names and SQL; a DNS name is at most this long in practice. */
const HOST_LENGTH_MAX = 64;

export type EnrolmentOptions = {
  readonly state: State;
  /** A host joined, or came back under another name. */
  readonly onHost: (host: string, name: string) => void;
  readonly now: () => number;
};

/** How hosts join: a short-lived token is exchanged for an id and a token of the host's own. */
export type Enrolment = {
  readonly createToken: (request: EnrolmentTokenRequest) => Promise<Result<EnrolmentTokenReply, 'full'>>;
  /** A machine that comes back gets its id again. */
  readonly enroll: (request: EnrollRequest) => Promise<Result<EnrollReply, EnrollFault>>;
};

export function makeEnrolment({ state, onHost, now }: EnrolmentOptions): Enrolment {
  const { hosts, hostTokens } = state;
  const enrolmentTokens = makeEnrolmentTokens(state.enrolmentTokens, now);
  const inTurn = makeTurns();

  async function enroll({ token, name, machine }: EnrollRequest): Promise<Result<EnrollReply, EnrollFault>> {
    const records = [...hosts.all()];
    const before = records.find((record) => record.machine === machine);
    // Counted before the host exists: whenever we are killed, no more hosts join than may.
    const used = await enrolmentTokens.use(token, machine, before !== undefined && isRevoked(before.host));
    if (!used.ok) return used;
    const host = before?.host ?? chooseHost(name, new Set(records.map((record) => record.host)));
    const enrolledMs = now();
    // Of the row as it is then: its agent may be saying what it is at this moment, with the token that ends now.
    if (before === undefined) await hosts.put({ host, name, machine, enrolledMs, inventory: null });
    else await hosts.change(host, (row) => ({ ...row, name, enrolledMs }));
    await replaceTokens(host);
    const hostToken = makeSecret();
    await hostTokens.put({ hash: hashSecret(hostToken), host, createdMs: now(), state: 'live', sinceMs: now() });
    onHost(host, name);
    return ok({ host, token: hostToken });
  }

  function isRevoked(host: string): boolean {
    return [...hostTokens.all()].some((token) => token.host === host && token.state === 'revoked');
  }

  /** Ends the tokens of a host, and forgets all but the newest of those that have ended. */
  async function replaceTokens(host: string): Promise<void> {
    for (const token of hostTokens.all()) {
      if (token.host !== host || token.state === 'replaced') continue;
      await hostTokens.change(token.hash, (row) => ({ ...row, state: 'replaced', sinceMs: now() }));
    }
    const replaced = [...hostTokens.all()].filter((token) => token.host === host && token.state === 'replaced');
    const newestFirst = replaced.toSorted((a, b) => b.createdMs - a.createdMs);
    for (const { hash } of newestFirst.slice(REPLACED_TOKENS_MAX)) await hostTokens.remove(hash);
  }

  return {
    createToken: enrolmentTokens.create,
    // One after the other: two hosts of one name that come at once must not get one id.
    enroll: (request) => inTurn(() => enroll(request)),
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
