import type { CompletenessReply } from '@muster/proto/api';

import type { Route } from '../app.ts';
import { refuseUnknownHost } from '../auth.ts';
import { readRange, type Range } from './range.ts';

export type CompletenessRouteOptions = {
  readonly isHost: (host: string) => boolean;
  readonly readCompleteness: (
    query: Range & { readonly host: string },
  ) => Promise<Omit<CompletenessReply, 'host' | 'fromMs' | 'toMs'>>;
  readonly now: () => number;
};

/** What arrived of one host, against what should have. */
export function makeCompletenessRoute({ isHost, readCompleteness, now }: CompletenessRouteOptions): Route {
  return {
    method: 'GET',
    path: '/api/v1/hosts/:host/completeness',
    role: 'admin',
    async handle(context) {
      const range = readRange(context, now());
      if (range instanceof Response) return range;
      const host = context.req.param('host') ?? '';
      if (!isHost(host)) return refuseUnknownHost(context, host);
      const answer = await readCompleteness({ host, ...range });
      return context.json({ host, ...range, ...answer } satisfies CompletenessReply);
    },
  };
}
