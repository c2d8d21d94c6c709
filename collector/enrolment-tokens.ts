import {
  ENROLMENT_MS_DEFAULT,
  type EnrolmentTokenReply,
  type EnrolmentTokenRequest,
  type EnrolmentTokenRow,
} from '@muster/proto/api';
import { err, ok, type Result } from '@muster/proto/result';

import type { EnrollFault } from './http/routes/enroll.ts';
import { hashSecret, makeSecret, nameSecret } from './secret.ts';
import type { EnrolmentToken, StateTable } from './store/state.ts';

/** Tokens that may wait to be used. */
const TOKENS_MAX = 1_000;
/** A token that is over is known for so long, so that who brings it is told why it does not help. */
const OVER_MS_KEPT = 86_400_000;
/** A new token clears away so many old ones at most: each is a write, and somebody waits. */
const CLEARED_MAX = 20;
/**
 * Each use stores the list anew, so it holds little of each machine: the start of a hash of our own, because the
 * machine's is chosen by who joins. 132 bits: two machines that look like one cannot be made up.
 */
const MACHINE_LENGTH = 22;

/** What lets hosts in: so many, and for so long. */
export type EnrolmentTokens = {
  /** Resolves when the token is stored. 'full': too many wait to be used. The request is within its limits. */
  readonly create: (request: EnrolmentTokenRequest) => Promise<Result<EnrolmentTokenReply, 'full'>>;
  /**
   * Counts that a machine joins, or says why it may not; resolves when that is stored. A machine may come again with
   * the same token, because the answer may have been lost on its way; not when its host was revoked since.
   */
  readonly use: (token: string, machine: string, isRevoked: boolean) => Promise<Result<void, EnrollFault>>;
};

export function makeEnrolmentTokens(tokens: StateTable<EnrolmentToken>, now: () => number): EnrolmentTokens {
  return {
    async create({ hosts = 1, validMs = ENROLMENT_MS_DEFAULT }) {
      for (const { hash } of chooseCleared([...tokens.all()], now())) await tokens.remove(hash);
      if ([...tokens.all()].length >= TOKENS_MAX) return err('full');
      const token = makeSecret();
      const hash = hashSecret(token);
      const createdMs = now();
      const expiresMs = createdMs + validMs;
      await tokens.put({ hash, createdMs, expiresMs, hosts, machines: [], revoked: false });
      return ok({ id: nameSecret(hash), token, hosts, expiresMs });
    },
    async use(secret, machine, isRevoked) {
      const token = tokens.get(hashSecret(secret));
      if (token === undefined) return err('unknown');
      const name = nameMachine(machine);
      let used: Result<void, EnrollFault> = err('unknown');
      // As it is when its turn comes: machines join at once.
      await tokens.change(token.hash, (row) => {
        const state = judgeEnrolmentToken(row, now());
        const isAgain = row.machines.includes(name);
        const isLetIn = state === 'open' || (state === 'used-up' && isAgain);
        if (!isLetIn) used = err(state);
        else used = isAgain && isRevoked ? err('revoked') : ok(undefined);
        return used.ok && !isAgain ? { ...row, machines: [...row.machines, name] } : row;
      });
      return used;
    },
  };
}

function nameMachine(machine: string): string {
  return Buffer.from(hashSecret(machine), 'hex').toString('base64url').slice(0, MACHINE_LENGTH);
}

export function judgeEnrolmentToken(token: EnrolmentToken, nowMs: number): EnrolmentTokenRow['state'] {
  if (token.revoked) return 'revoked';
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
