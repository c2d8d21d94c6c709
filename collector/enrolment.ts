import type { EnrolmentTokenReply, EnrolmentTokenRequest } from '@muster/proto/api';
import type { EnrollReply, EnrollRequest } from '@muster/proto/push';
import { ok, type Result } from '@muster/proto/result';

import { makeEnrolmentTokens } from './enrolment-tokens.ts';
import type { EnrollFault } from './http/routes/enroll.ts';
import { hashSecret, makeSecret } from './secret.ts';
import type { HostRecord, State } from './store/state.ts';

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
  /** Ids of hosts that are being stored. */
  const given = new Set<string>();
  const isTaken = (host: string): boolean => given.has(host) || hosts.get(host) !== undefined;
  /** The last that each machine has asked for, while that is under way. */
  const asking = new Map<string, Promise<unknown>>();

  async function enroll({ token, name, machine }: EnrollRequest): Promise<Result<EnrollReply, EnrollFault>> {
    const before = [...hosts.all()].find((record) => record.machine === machine);
    // Counted before the host exists: whenever we are killed, no more hosts join than may.
    const used = await enrolmentTokens.use(token, machine, before !== undefined && isRevoked(before.host));
    if (!used.ok) return used;
    const enrolledMs = now();
    const host = before?.host ?? chooseHost(name, isTaken);
    // Of the row as it is then: its agent may be saying what it is at this moment, with the token that ends now.
    if (before === undefined) await putHost({ host, name, machine, enrolledMs, inventory: null });
    else await hosts.change(host, (row) => ({ ...row, name, enrolledMs }));
    await replaceTokens(host);
    const hostToken = makeSecret();
    await hostTokens.put({ hash: hashSecret(hostToken), host, createdMs: now(), state: 'live', sinceMs: now() });
    onHost(host, name);
    return ok({ host, token: hostToken });
  }

  async function putHost(row: HostRecord): Promise<void> {
    given.add(row.host);
    await hosts.put(row).finally(() => given.delete(row.host));
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
    // Those of one machine one after the other, so that the last that it is given is the one that holds.
    async enroll(request) {
      const { machine } = request;
      const before = asking.get(machine) ?? Promise.resolve();
      const done = before.catch(() => undefined).then(() => enroll(request));
      asking.set(machine, done);
      try {
        return await done;
      } finally {
        if (asking.get(machine) === done) asking.delete(machine);
      }
    },
  };
}

/** The host's name made fit for an id, with a number behind it where that is taken: `web-1`, `web-1-2`. */
export function chooseHost(name: string, isTaken: (host: string) => boolean): string {
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]+/g, '-')
    .slice(0, HOST_LENGTH_MAX)
    .replaceAll(/^[.-]+|[.-]+$/g, '');
  const base = plain === '' ? 'host' : plain;
  if (!isTaken(base)) return base;
  let suffix = 2;
  while (isTaken(`${base}-${suffix}`)) suffix += 1;
  return `${base}-${suffix}`;
}
