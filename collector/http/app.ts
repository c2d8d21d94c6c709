import { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import type { HttpBindings } from '@hono/node-server';
import { Hono, type Context } from 'hono';

import type { Log } from '@muster/proto/log';

import { answerFailure, respond } from './answer.ts';
import { beBrief } from './direct.ts';
import { admit, refuse, type Authorise, type Caller, type Role } from './auth.ts';

/** The server gives each request with the connection that it came on. */
export type App = Hono<Environment>;
/** `isForAgent`: the caller is one. */
type Environment = { Bindings: Partial<HttpBindings>; Variables: { isForAgent?: true } };

/** A request, and in `env` the connection that it came on; none where a test calls without one. */
export type RequestContext = Context<Environment>;

/** One way in. `handle` is called only for a caller of the role. */
export type Route = {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly role: Role;
  readonly handle: (context: RequestContext, caller: Caller) => Response | Promise<Response>;
};

export type AppOptions = {
  readonly routes: readonly Route[];
  /** Answers every GET that no route takes: the page. */
  readonly page: (path: string) => Response | null;
  readonly authorise: Authorise;
  /** A caller has shown who it is, on this connection; none where a test calls without one. */
  readonly onAdmitted: (socket: Socket | undefined) => void;
  readonly log: Log;
};

const SECURITY_HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
} as const;

/** The HTTP application: the routes, each behind its role, then the page. */
export function makeApp(options: AppOptions): App {
  const app: App = new Hono();
  app.use(async (context, next) => {
    await next();
    // No browser sees it.
    if (context.get('isForAgent') === true) return;
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) context.res.headers.set(name, value);
    if (context.req.path.startsWith('/api/')) context.res.headers.set('Cache-Control', 'no-store');
  });
  for (const route of options.routes) {
    app.on(route.method, route.path, (context) => {
      const caller = admit(context, route.role, options.authorise);
      if (caller instanceof Response) return caller;
      if (caller.kind !== 'anyone') options.onAdmitted(context.env?.incoming?.socket);
      if (caller.kind === 'host') {
        context.set('isForAgent', true);
        if (context.env?.outgoing instanceof ServerResponse) beBrief(context.env.outgoing);
      }
      return route.handle(context, caller);
    });
  }
  app.get('*', (context) => {
    const { path } = context.req;
    const page = path.startsWith('/api/') ? null : options.page(path);
    const missing =
      path === '/'
        ? 'The page is not built; run npm run build and start the collector again'
        : `There is nothing at ${path}`;
    return page ?? refuse(context, 404, 'not-found', missing);
  });
  app.notFound((context) =>
    refuse(context, 404, 'not-found', `There is nothing at ${context.req.method} ${context.req.path}`),
  );
  app.onError((error, context) => {
    const { method, path } = context.req;
    return respond(context, answerFailure(error, { method, path }, options.log));
  });
  return app;
}
