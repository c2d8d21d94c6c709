import type { EventsReply } from '@muster/proto/api';

import type { Route } from '../app.ts';
import { refuseUnknownHost } from '../auth.ts';
import { readRange, type Range } from './range.ts';

export type EventsRouteOptions = {
  readonly isHost: (host: string) => boolean;
  readonly readEvents: (
    query: Range & { readonly host: string },
  ) => Promise<Omit<EventsReply, 'host' | 'fromMs' | 'toMs'>>;
  readonly now: () => number;
};

/** What happened on one host. */
export function makeEventsRoute({ isHost, readEvents, now }: EventsRouteOptions): Route {
  return {
    method: 'GET',
    path: '/api/v1/hosts/:host/events',
    role: 'admin',
    async handle(context) {
      const range = readRange(context, now());
      if (range instanceof Response) return range;
      const host = context.req.param('host') ?? '';
      if (!isHost(host)) return refuseUnknownHost(context, host);
      return context.json({ host, ...range, ...(await readEvents({ host, ...range })) } satisfies EventsReply);
    },
  };
}
