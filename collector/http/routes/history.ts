import { BODY_BYTES_MAX } from '@muster/proto/push';

import { respond } from '../answer.ts';
import type { Route } from '../app.ts';
import { refuseUnknownHost } from '../auth.ts';
import { readBody } from '../body.ts';
import type { TakePush } from './ingest.ts';

export type HistoryRouteOptions = { readonly isHost: (host: string) => boolean; readonly take: TakePush };

/** Takes what was of a host before its first sample, as a batch of the wire. */
export function makeHistoryRoute({ isHost, take }: HistoryRouteOptions): Route {
  return {
    method: 'POST',
    path: '/api/v1/hosts/:host/history',
    role: 'admin',
    async handle(context) {
      const host = context.req.param('host') ?? '';
      if (!isHost(host)) return refuseUnknownHost(context, host);
      const push = {
        contentType: context.req.header('content-type'),
        contentEncoding: context.req.header('content-encoding'),
        readBody: () => readBody(context, BODY_BYTES_MAX),
      };
      return respond(context, await take(push, { host, token: '' }));
    },
  };
}
