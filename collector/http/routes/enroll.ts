import type { Context } from 'hono';
import * as v from 'valibot';

import {
  ENROLMENT_HOSTS_MAX,
  ENROLMENT_MS_MAX,
  type EnrolmentTokenReply,
  type EnrolmentTokenRequest,
} from '@muster/proto/api';
import { TEXT_LENGTH_MAX } from '@muster/proto/event';
import { ENROLL_PATH, type EnrollReply, type EnrollRequest } from '@muster/proto/push';
import type { Result } from '@muster/proto/result';

import type { Route } from '../app.ts';
import { refuse } from '../auth.ts';
import { readJson } from '../body.ts';

/** Why an enrolment token lets nobody in; `unknown` says nothing about any other. */
export type EnrollFault = 'unknown' | 'used-up' | 'expired' | 'revoked';

export type EnrollRoutesOptions = {
  readonly createToken: (request: EnrolmentTokenRequest) => Promise<Result<EnrolmentTokenReply, 'full'>>;
  readonly enroll: (request: EnrollRequest) => Promise<Result<EnrollReply, EnrollFault>>;
};

const TOKEN_REQUEST = v.strictObject({
  hosts: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(ENROLMENT_HOSTS_MAX))),
  validMs: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(ENROLMENT_MS_MAX))),
});

const REQUEST = v.object({
  token: v.pipe(v.string(), v.maxLength(TEXT_LENGTH_MAX)),
  name: v.pipe(v.string(), v.regex(/\S/), v.maxLength(TEXT_LENGTH_MAX)),
  machine: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
});

/** How a host joins: an administrator makes a short-lived token, the agent exchanges it for a token of its own. */
export function makeEnrollRoutes({ createToken, enroll }: EnrollRoutesOptions): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/api/v1/enrolment-tokens',
      role: 'admin',
      async handle(context) {
        const request = v.safeParse(TOKEN_REQUEST, hasBody(context) ? await readJson(context) : {});
        if (!request.success) return refuse(context, 400, 'malformed', WHAT_TO_ASK);
        const created = await createToken(request.output);
        return created.ok ? context.json(created.value, 201) : refuse(context, 409, 'too-many-tokens', TOO_MANY);
      },
    },
    {
      method: 'POST',
      path: ENROLL_PATH,
      role: 'anyone',
      async handle(context) {
        const request = v.safeParse(REQUEST, await readJson(context));
        if (!request.success) {
          return refuse(
            context,
            400,
            'malformed',
            'The body must be {"token", "name", "machine"}, 16 KiB at most; machine is a SHA-256 in hex',
          );
        }
        const reply = await enroll(request.output);
        return reply.ok
          ? context.json(reply.value, 201)
          : refuse(context, 401, `token-${reply.error}`, `${WHY_NOT[reply.error]}; ${MAKE_ANOTHER}`);
      },
    },
  ];
}

/** RFC 9112, section 6: a request has a body when it says one of these. */
function hasBody({ req }: Context): boolean {
  return req.header('transfer-encoding') !== undefined || Number(req.header('content-length') ?? 0) > 0;
}

const WHAT_TO_ASK = `The body must be empty or {"hosts": 1 to ${ENROLMENT_HOSTS_MAX}, "validMs": milliseconds, 30 days at most}; both may be left out`;
const TOO_MANY = 'Too many enrolment tokens wait to be used; revoke some, or make one for several hosts';
const MAKE_ANOTHER = 'make a new one with: muster-collector token create';
const WHY_NOT: Readonly<Record<EnrollFault, string>> = {
  unknown: 'This enrolment token is unknown',
  'used-up': 'This enrolment token has let in as many hosts as it may',
  expired: 'This enrolment token has expired',
  revoked: 'This enrolment token, or the host that it let in before, was revoked',
};
