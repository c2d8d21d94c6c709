import type { Context } from 'hono';
import { parse } from 'hono/utils/cookie';

import { makeRefusal, respond, type Answer } from './answer.ts';

/** Why the token of a host is no longer taken. */
export type Ended = 'quarantined' | 'revoked' | 'replaced';

/**
 * Who asks. `ended`: somebody who brings the token of a host that is no longer taken. `token` is the hash of a host's.
 * `session` names the browser session of a person, null for a program with the access key.
 */
export type Caller =
  | { readonly kind: 'anyone'; readonly ended?: Ended }
  | { readonly kind: 'host'; readonly host: string; readonly token: string }
  | { readonly kind: 'admin'; readonly session: string | null };

/** Whom a route lets in. There is no route without one. */
export type Role = Caller['kind'];

/** What a request brings to say who it is. */
export type Credentials = { readonly bearer: string | null; readonly sessionId: string | null };

/** Says who holds these credentials; anyone where they are missing, unknown, expired or revoked. */
export type Authorise = (credentials: Credentials) => Caller;

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Lets a request through to a route, or gives the answer that turns it away. */
export function admit(context: Context, role: Role, authorise: Authorise): Caller | Response {
  if (role === 'anyone') return { kind: 'anyone' };
  const credentials = {
    bearer: readBearer(context.req.header('authorization')),
    sessionId: readSessionId(context.req.header('cookie'), context.req.header('host')),
  };
  const caller = authorise(credentials);
  if (caller.kind !== role) {
    if (role === 'host' && caller.kind === 'anyone' && caller.ended !== undefined)
      return respond(context, answerEnded(caller.ended));
    if (caller.kind === 'anyone') return refuse(context, 401, 'unauthorized', WHAT_TO_BRING[role]);
    return refuse(context, 403, 'forbidden', `This is not for a ${caller.kind}. ${WHAT_TO_BRING[role]}`);
  }
  // A cookie is sent along by the browser whoever caused the request; a header is not.
  const isFromCookie = caller.kind === 'admin' && caller.session !== null;
  if (
    isFromCookie &&
    !SAFE_METHODS.has(context.req.method) &&
    !isSameOrigin(context.req.header('origin'), context.req.header('host'))
  ) {
    return refuse(context, 403, 'cross-origin', 'This request comes from a page of another origin');
  }
  return caller;
}

const WHAT_TO_BRING = {
  host: 'Send "Authorization: Bearer <host token>"; an agent gets its token at enrolment',
  admin:
    'Sign in on the page, or send "Authorization: Bearer <access key>"; the key is in the file access-key of the data directory',
} as const;

/** The answer to a host whose token is no longer taken. Its agent logs the message, the first 500 characters of it. */
export function answerEnded(ended: Ended): Answer {
  return makeRefusal(ended === 'quarantined' ? 403 : 401, ended, WHY_ENDED[ended]);
}

const OWN_IDENTITY =
  'give the copy an /etc/machine-id of its own and remove identity.json and the spool from the state directory of its agent';

const WHY_ENDED: Readonly<Record<Ended, string>> = {
  quarantined: `Two machines send with this token, so nothing of either is taken. One is a copy: ${OWN_IDENTITY}. Then enrol both with new enrolment tokens (on the other machine remove identity.json only); its history and what waits there are kept`,
  revoked:
    'The token of this host was revoked. To let it join again, make an enrolment token, remove identity.json from the state directory of its agent and start it with MUSTER_TOKEN',
  replaced: `This machine has enrolled again since, or its machine id is in use twice. If there are two machines, one is a copy: ${OWN_IDENTITY}; then enrol it with a new enrolment token`,
};

/** The answer to whoever asks for a host that there is not. */
export function refuseUnknownHost(context: Context, host: string): Response {
  return refuse(context, 404, 'unknown-host', `There is no host ${host}; GET /api/v1/hosts lists them`);
}

/** Browsers keep one set of cookies for all ports of a host: the name holds ours, so that two Musters get along. */
export function nameSessionCookie(host: string | undefined): string {
  return `muster_session_${/:(\d+)$/.exec(host ?? '')?.[1] ?? 'default'}`;
}

export function readSessionId(cookies: string | undefined, host: string | undefined): string | null {
  const name = nameSessionCookie(host);
  const id = parse(cookies ?? '', name)[name] ?? '';
  // As we make them. The parser undoes %-escapes, and the id is passed on in the head of another request.
  return /^[\w-]{43}$/.test(id) ? id : null;
}

export function readBearer(header: string | undefined): string | null {
  const match = /^Bearer +([\w.~+/-]+=*)$/i.exec(header ?? '');
  return match?.[1] ?? null;
}

/** Whether a browser's Origin header names the very host and port that the request went to. */
export function isSameOrigin(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined || host === undefined || !URL.canParse(origin)) return false;
  return new URL(origin).host === host.toLowerCase();
}

/** An answer that says what was wrong and what to do. */
export function refuse(context: Context, status: Answer['status'], code: string, message: string): Response {
  return respond(context, makeRefusal(status, code, message));
}
