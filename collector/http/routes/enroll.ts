import * as v from 'valibot';

import { TEXT_LENGTH_MAX } from '@muster/proto/batch';
import { ENROLL_PATH, type EnrollReply, type EnrollRequest } from '@muster/proto/push';
import type { EnrolmentTokenReply } from '@muster/proto/api';

import type { Route } from '../app.ts';
import { refuse } from '../auth.ts';
import { readJson } from '../body.ts';

export type EnrollRoutesOptions = {
  readonly createToken: () => EnrolmentTokenReply;
  /** null: the token is unknown, used up or expired. */
  readonly enroll: (request: EnrollRequest) => Promise<EnrollReply | null>;
};

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
      handle: (context) => context.json(createToken(), 201),
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
        if (reply === null)
          return refuse(
            context,
            401,
            'wrong-token',
            'This enrolment token is unknown, used or expired; make a new one',
          );
        return context.json(reply, 201);
      },
    },
  ];
}
