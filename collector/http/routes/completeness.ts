import * as v from 'valibot';

import type { CompletenessReply } from '@muster/proto/api';

import type { Route } from '../app.ts';
import { refuse, refuseUnknownHost } from '../auth.ts';
import { MILLISECONDS } from './milliseconds.ts';

const DAY_MS = 86_400_000;
/** Batches are kept for 30 days. */
const RANGE_MS_MAX = 31 * DAY_MS;

const QUERY = v.object({ fromMs: v.optional(MILLISECONDS), toMs: v.optional(MILLISECONDS) });

export type CompletenessRouteOptions = {
  readonly isHost: (host: string) => boolean;
  readonly readCompleteness: (query: {
    readonly host: string;
    readonly fromMs: number;
    readonly toMs: number;
  }) => Promise<Omit<CompletenessReply, 'host' | 'fromMs' | 'toMs'>>;
  readonly now: () => number;
};

/** What arrived of one host, against what should have. */
export function makeCompletenessRoute({ isHost, readCompleteness, now }: CompletenessRouteOptions): Route {
  return {
    method: 'GET',
    path: '/api/v1/hosts/:host/completeness',
    role: 'admin',
    async handle(context) {
      const query = v.safeParse(QUERY, context.req.query());
      if (!query.success)
        return refuse(context, 400, 'bad-query', 'Ask with fromMs and toMs in Unix milliseconds, or without');
      const toMs = query.output.toMs ?? now();
      const fromMs = query.output.fromMs ?? Math.max(0, toMs - DAY_MS);
      if (toMs <= fromMs)
        return refuse(context, 400, 'bad-range', `toMs must be after fromMs, was ${toMs} and ${fromMs}`);
      if (toMs - fromMs > RANGE_MS_MAX) return refuse(context, 400, 'bad-range', 'A range may be 31 days at most');
      const host = context.req.param('host') ?? '';
      if (!isHost(host)) return refuseUnknownHost(context, host);
      const answer = await readCompleteness({ host, fromMs, toMs });
      return context.json({ host, fromMs, toMs, ...answer } satisfies CompletenessReply);
    },
  };
}
