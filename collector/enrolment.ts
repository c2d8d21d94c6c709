import type { EnrolmentTokenReply, EnrolmentTokenRequest, EnrolmentTokenRow } from '@muster/proto/api';
import { ENROLMENT_MS_DEFAULT } from '@muster/proto/api';
import type { EnrollReply, EnrollRequest } from '@muster/proto/push';
import { err, ok, type Result } from '@muster/proto/result';

import type { EnrollFault } from './http/routes/enroll.ts';
import { hashSecret, makeSecret, nameSecret } from './secret.ts';
import type { EnrolmentToken, HostRecord, State } from './store/state.ts';

/** Tokens that may wait to be used. */
const TOKENS_MAX = 1_000;
/** A token that is over is known for so long, so that who brings it is told why it does not help. */
const OVER_MS_KEPT = 86_400_000;
/** A new token clears away so many old ones at most: each is a write, and somebody waits. */
const CLEARED_MAX = 20;
/** Of a machine's hash. 64 bits tell ten thousand machines apart, and each use stores the list anew. */
const MACHINE_LENGTH = 16;
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
  /** Resolves when the token is stored. 'full': too many wait to be used. The request is within its limits. */
  readonly createToken: (request: EnrolmentTokenRequest) => Promise<Result<EnrolmentTokenReply, 'full'>>;
  /** A machine that comes back gets its id again, and one that asks with the same token again uses it once. */
  readonly enroll: (request: EnrollRequest) => Promise<Result<EnrollReply, EnrollFault>>;
};

export function makeEnrolment({ state, onHost, now }: EnrolmentOptions): Enrolment {
  const { enrolmentTokens, hosts, hostTokens } = state;
  let enrolling: Promise<unknown> = Promise.resolve();

  async function createToken(request: EnrolmentTokenRequest): Promise<Result<EnrolmentTokenReply, 'full'>> {
    for (const { hash } of chooseCleared([...enrolmentTokens.all()], now())) await enrolmentTokens.remove(hash);
    if ([...enrolmentTokens.all()].length >= TOKENS_MAX) return err('full');
    const token = makeSecret();
    const hash = hashSecret(token);
    const createdMs = now();
    const expiresMs = createdMs + (request.validMs ?? ENROLMENT_MS_DEFAULT);
    const allowed = request.hosts ?? 1;
    await enrolmentTokens.put({ hash, createdMs, expiresMs, hosts: allowed, machines: [], isRevoked: false });
    return ok({ id: nameSecret(hash), token, hosts: allowed, expiresMs });
  }

  async function enroll({ token, name, machine }: EnrollRequest): Promise<Result<EnrollReply, EnrollFault>> {
    const records = [...hosts.all()];
    const before = records.find((record) => record.machine === machine);
    const used = await useToken(hashSecret(token), machine.slice(0, MACHINE_LENGTH), before);
    if (!used.ok) return used;
    const host = before?.host ?? chooseHost(name, new Set(records.map((record) => record.host)));
    await hosts.put({ host, name, machine, enrolledMs: now(), inventory: before?.inventory ?? null });
    await replaceTokens(host);
    const hostToken = makeSecret();
    await hostTokens.put({ hash: hashSecret(hostToken), host, createdMs: now(), state: 'live', sinceMs: now() });
    onHost(host, name);
    return ok({ host, token: hostToken });
  }

  /** Counts a use, and stores that before the host exists: whenever we are killed, no more hosts join than may. */
  async function useToken(
    hash: string,
    machine: string,
    before: HostRecord | undefined,
  ): Promise<Result<void, EnrollFault>> {
    const token = enrolmentTokens.get(hash);
    if (token === undefined) return err('unknown');
    const state = judgeEnrolmentToken(token, now());
    // The machine that used it may ask again, because the answer may have been lost on its way.
    const isAgain = token.machines.includes(machine);
    if (state !== 'open' && !(state === 'used-up' && isAgain)) return err(state);
    if (isAgain && before !== undefined && isHostRevoked(before.host)) return err('revoked');
    if (!isAgain) await enrolmentTokens.change(hash, (row) => ({ ...row, machines: [...row.machines, machine] }));
    return ok(undefined);
  }

  function isHostRevoked(host: string): boolean {
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
    createToken,
    enroll(request) {
      // One after the other: two hosts of one name that come at once must not get one id.
      const reply = enrolling.then(() => enroll(request));
      enrolling = reply.catch(() => undefined);
      return reply;
    },
  };
}

export function judgeEnrolmentToken(token: EnrolmentToken, nowMs: number): EnrolmentTokenRow['state'] {
  if (token.isRevoked) return 'revoked';
  if (token.expiresMs < nowMs) return 'expired';
  return token.machines.length < token.hosts ? 'open' : 'used-up';
}

/** The tokens that need not be known any longer, and where there is no room for another, those that are over. */
function chooseCleared(tokens: readonly EnrolmentToken[], nowMs: number): readonly EnrolmentToken[] {
  const isFull = tokens.length >= TOKENS_MAX;
  return tokens
    .filter((token) => {
      if (token.expiresMs + OVER_MS_KEPT < nowMs) return true;
      return isFull && judgeEnrolmentToken(token, nowMs) !== 'open';
    })
    .slice(0, CLEARED_MAX);
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
