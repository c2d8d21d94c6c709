import { deleteCookie, setCookie } from 'hono/cookie';

import { isRecord } from '@muster/proto/record';

import type { Route } from '../app.ts';
import { nameSessionCookie, refuse } from '../auth.ts';
import { readJson } from '../body.ts';

export type SessionRoutesOptions = {
  /** Opens a session for whoever knows the key, and gives its id; null for a wrong key. */
  readonly openSession: (key: string) => Promise<string | null>;
  readonly closeSession: (session: string) => Promise<void>;
};

/** Signing in and out of the page. */
export function makeSessionRoutes({ openSession, closeSession }: SessionRoutesOptions): readonly Route[] {
  const path = '/api/v1/session';
  const cookie = { httpOnly: true, sameSite: 'Strict', path: '/' } as const;
  return [
    {
      method: 'POST',
      path,
      role: 'anyone',
      async handle(context) {
        const body = await readJson(context);
        const key = isRecord(body) ? body['key'] : undefined;
        if (typeof key !== 'string') return refuse(context, 400, 'malformed', 'The body must be {"key": "…"}');
        const id = await openSession(key);
        if (id === null)
          return refuse(
            context,
            401,
            'wrong-key',
            'This key opens nothing here; the right one is in the file access-key of the data directory',
          );
        // Behind a proxy that speaks TLS the page's own origin says so.
        const secure = context.req.header('origin')?.startsWith('https:') ?? false;
        setCookie(context, nameSessionCookie(context.req.header('host')), id, {
          ...cookie,
          secure,
          maxAge: 30 * 86_400,
        });
        return context.body(null, 204);
      },
    },
    { method: 'GET', path, role: 'admin', handle: (context) => context.json({ kind: 'admin' }) },
    {
      method: 'DELETE',
      path,
      role: 'admin',
      async handle(context, caller) {
        if (caller.kind === 'admin' && caller.session !== null) await closeSession(caller.session);
        deleteCookie(context, nameSessionCookie(context.req.header('host')), cookie);
        return context.body(null, 204);
      },
    },
  ];
}
