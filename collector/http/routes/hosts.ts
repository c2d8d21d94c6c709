import type { HostReply, HostsReply } from '@muster/proto/api';

import type { Latest } from '../../ingest/latest.ts';
import type { Route } from '../app.ts';
import { refuseUnknownHost } from '../auth.ts';

/** The fleet and one host of it, as they are now, from memory. */
export function makeHostRoutes(latest: Latest, now: () => number): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/api/v1/hosts',
      role: 'admin',
      handle(context) {
        const nowMs = now();
        return context.json({ nowMs, hosts: latest.rows(nowMs) } satisfies HostsReply);
      },
    },
    {
      method: 'GET',
      path: '/api/v1/hosts/:host',
      role: 'admin',
      handle(context) {
        const nowMs = now();
        const host = context.req.param('host') ?? '';
        const row = latest.row(host, nowMs);
        if (row === null) return refuseUnknownHost(context, host);
        const reply: HostReply = { nowMs, row, inventory: latest.inventory(host), latest: latest.values(host) };
        return context.json(reply);
      },
    },
  ];
}
