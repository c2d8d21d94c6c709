import type { RevokeReply, TokensReply } from '@muster/proto/api';
import { err, ok, type Result } from '@muster/proto/result';

import { judgeEnrolmentToken } from './enrolment-tokens.ts';
import type { RevokeFault } from './http/routes/tokens.ts';
import { nameSecret } from './secret.ts';
import type { State } from './store/state.ts';

/** What an administrator sees of the tokens of others, and can do about them. */
export type Tokens = {
  readonly list: () => TokensReply;
  /** Ends the one token whose id begins with `id`, which is hex. Resolves when it is no longer taken. */
  readonly revoke: (id: string) => Promise<Result<RevokeReply, RevokeFault>>;
};

export type TokensOptions = {
  readonly state: State;
  /** A token is revoked; `host` is null for an enrolment token. */
  readonly onRevoked: (id: string, host: string | null) => void;
  readonly now: () => number;
};

export function makeTokens({ state, onRevoked, now }: TokensOptions): Tokens {
  const { enrolmentTokens, hosts, hostTokens } = state;

  return {
    list() {
      const nowMs = now();
      return {
        nowMs,
        enrolment: Array.from(enrolmentTokens.all(), (token) => ({
          id: nameSecret(token.hash),
          state: judgeEnrolmentToken(token, nowMs),
          hosts: token.hosts,
          used: token.machines.length,
          createdMs: token.createdMs,
          expiresMs: token.expiresMs,
        })),
        hosts: Array.from(hostTokens.all()).flatMap(({ hash, host, state: is, sinceMs }) =>
          is === 'replaced'
            ? []
            : [{ id: nameSecret(hash), host, name: hosts.get(host)?.name ?? host, state: is, sinceMs }],
        ),
      };
    },
    async revoke(id) {
      const enrolment = [...enrolmentTokens.all()].filter(({ hash }) => hash.startsWith(id));
      const host = [...hostTokens.all()].filter((token) => token.state !== 'replaced' && token.hash.startsWith(id));
      const [found, another] = [...enrolment, ...host];
      if (found === undefined) return err('unknown');
      if (another !== undefined) return err('ambiguous');
      if ('host' in found) {
        // It may be replaced by the time its turn comes, and stays so: a host has one token that is not.
        await hostTokens.change(found.hash, (row) =>
          row.state === 'replaced' ? row : { ...row, state: 'revoked', sinceMs: now() },
        );
      } else await enrolmentTokens.change(found.hash, (row) => ({ ...row, revoked: true }));
      const reply = { id: nameSecret(found.hash), host: 'host' in found ? found.host : null };
      onRevoked(reply.id, reply.host);
      return ok(reply);
    },
  };
}
