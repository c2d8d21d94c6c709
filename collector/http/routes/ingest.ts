import {
  BATCH_CONTENT_TYPE,
  BODY_BYTES_MAX,
  INFLATED_BYTES_MAX,
  INGEST_PATH,
  UNKNOWN_BASIS,
  type Ack,
} from '@muster/proto/push';
import type { Result } from '@muster/proto/result';

import { inflate, type InflateFault } from '../../ingest/inflate.ts';
import type { IngestFault, Sender } from '../../ingest/ingest.ts';
import { makeRefusal, respond, type Answer } from '../answer.ts';
import type { Route } from '../app.ts';
import { answerEnded } from '../auth.ts';
import { readBody } from '../body.ts';
import { makePatience } from '../patience.ts';
import type { NoteTurnedAway } from '../turned-away.ts';

const RETRY_AFTER_SECONDS = 2;

/** What has come of a body that could not be inflated, as far as is known. */
const VAIN_BYTES: Readonly<Record<InflateFault, number>> = {
  'too-large': INFLATED_BYTES_MAX,
  malformed: 64 * 1024,
  'unknown-encoding': 0,
};

type Accept = (sender: Sender, body: Uint8Array) => Promise<Result<Ack, IngestFault>>;

/** A push, whichever way it came. */
export type Push = {
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly readBody: () => Promise<Result<Uint8Array, 'too-large' | 'cut'>>;
};

/** Takes the push of a host whose token is good, and says what it is answered. Rejects with the fault of the store. */
export type TakePush = (push: Push, sender: Sender) => Promise<Answer>;

/** `accept` resolves when the batch is stored: the answer is the acknowledgement. */
export function makeTakePush(accept: Accept, onTurnedAway: NoteTurnedAway, now: () => number): TakePush {
  const patience = makePatience(now);
  // Missing, the type goes without saying: an agent that pays for every byte says nothing else.
  return async ({ contentType = BATCH_CONTENT_TYPE, contentEncoding = '', readBody: read }, sender) => {
    if (contentType !== BATCH_CONTENT_TYPE)
      return makeRefusal(415, 'content-type', `Content-Type must be ${BATCH_CONTENT_TYPE}`);
    const { host } = sender;
    const impatience = patience.begin(host);
    if (impatience !== null) {
      onTurnedAway('too-many', host);
      return refuseForNow(429, 'too-many', impatience);
    }
    let vainBytes = 0;
    try {
      const body = await read();
      if (!body.ok) return refuseBody(body.error);
      const inflated = inflate(body.value, contentEncoding);
      vainBytes = inflated.ok ? inflated.value.length : VAIN_BYTES[inflated.error];
      if (!inflated.ok) return refuseInflate(inflated.error);
      const accepted = await accept(sender, inflated.value);
      if (accepted.ok || accepted.error.kind !== 'malformed') vainBytes = 0;
      return accepted.ok ? { status: 200, body: accepted.value } : refuseBatch(accepted.error);
    } finally {
      patience.end(host, vainBytes);
    }
  };
}

/** Where agents push. */
export function makeIngestRoute(take: TakePush): Route {
  return {
    method: 'POST',
    path: INGEST_PATH,
    role: 'host',
    async handle(context, caller) {
      if (caller.kind !== 'host') return respond(context, makeRefusal(403, 'forbidden', 'Only agents push'));
      const push = {
        contentType: context.req.header('content-type'),
        contentEncoding: context.req.header('content-encoding'),
        readBody: () => readBody(context, BODY_BYTES_MAX),
      };
      return respond(context, await take(push, caller));
    },
  };
}

function refuseBatch(fault: IngestFault): Answer {
  switch (fault.kind) {
    case 'malformed':
      return makeRefusal(400, 'malformed', fault.message);
    case 'quarantined':
      return answerEnded('quarantined');
    case 'unknown-basis':
      // Nothing is wrong: the collector has been started again, or had no room for it.
      return makeRefusal(409, UNKNOWN_BASIS, 'What this batch is told beside is not here; send it in full');
    case 'rejected':
      // Not 503: the agent keeps this batch for later and goes on with others.
      return makeRefusal(500, 'rejected', fault.message);
    case 'busy':
      return refuseForNow(503, 'busy', fault.message);
  }
}

function refuseForNow(status: 429 | 503, code: string, message: string): Answer {
  return { ...makeRefusal(status, code, message), retryAfterSeconds: RETRY_AFTER_SECONDS };
}

function refuseBody(fault: 'too-large' | 'cut'): Answer {
  // Not 400: see the server, which answers what it can tell itself.
  if (fault === 'cut') return makeRefusal(408, 'cut', 'The body ended before its length; send it again');
  return makeRefusal(413, 'too-large', `A body may be ${BODY_BYTES_MAX} bytes, compressed; send smaller batches`);
}

function refuseInflate(fault: InflateFault): Answer {
  switch (fault) {
    case 'malformed':
      return makeRefusal(400, 'malformed', 'The body is not what its Content-Encoding says');
    case 'too-large':
      return makeRefusal(413, 'too-large', `A body may inflate to ${INFLATED_BYTES_MAX} bytes; send smaller batches`);
    case 'unknown-encoding':
      return makeRefusal(415, 'content-encoding', 'Content-Encoding must be zstd or gzip');
  }
}
