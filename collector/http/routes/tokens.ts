import { TOKEN_ID_PATTERN, type RevokeReply, type TokensReply } from '@muster/proto/api';
import type { Result } from '@muster/proto/result';

import type { Route } from '../app.ts';
import { refuse } from '../auth.ts';

export type RevokeFault = 'unknown' | 'ambiguous';

export type TokenRoutesOptions = {
  readonly list: () => TokensReply;
  readonly revoke: (id: string) => Promise<Result<RevokeReply, RevokeFault>>;
};

/** Which tokens there are, and the end of one. */
export function makeTokenRoutes({ list, revoke }: TokenRoutesOptions): readonly Route[] {
  return [
    { method: 'GET', path: '/api/v1/tokens', role: 'admin', handle: (context) => context.json(list()) },
    {
      method: 'DELETE',
      path: '/api/v1/tokens/:id',
      role: 'admin',
      async handle(context) {
        const id = context.req.param('id') ?? '';
        if (!TOKEN_ID_PATTERN.test(id))
          return refuse(context, 404, 'unknown-token', 'An id is hex, at least its first 4 characters; see the list');
        const revoked = await revoke(id);
        if (revoked.ok) return context.json(revoked.value);
        return revoked.error === 'unknown'
          ? refuse(context, 404, 'unknown-token', `There is no token ${id}; the list has those that there are`)
          : refuse(context, 409, 'ambiguous', `More than one token begins with ${id}; give more of its id`);
      },
    },
  ];
}
