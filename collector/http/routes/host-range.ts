import type { Route } from '../app.ts';
import { refuseUnknownHost } from '../auth.ts';
import { readRange, type Range } from './range.ts';

export type HostRangeRouteOptions = {
  /** The last part of the path. */
  readonly what: 'completeness' | 'events';
  readonly isHost: (host: string) => boolean;
  /** Gives the reply but for what it repeats of the question. */
  readonly read: (query: Range & { readonly host: string }, signal: AbortSignal) => Promise<object>;
  readonly now: () => number;
};

/** What is kept of one host over a range: CompletenessReply, EventsReply. */
export function makeHostRangeRoute({ what, isHost, read, now }: HostRangeRouteOptions): Route {
  return {
    method: 'GET',
    path: `/api/v1/hosts/:host/${what}`,
    role: 'admin',
    async handle(context) {
      const range = readRange(context, now());
      if (range instanceof Response) return range;
      const host = context.req.param('host') ?? '';
      if (!isHost(host)) return refuseUnknownHost(context, host);
      return context.json({ host, ...range, ...(await read({ host, ...range }, context.req.raw.signal)) });
    },
  };
}
