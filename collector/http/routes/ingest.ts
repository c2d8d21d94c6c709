import type { Context } from 'hono';

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
import type { Route } from '../app.ts';
import { refuse, refuseEnded } from '../auth.ts';
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

/** Where agents push. `accept` resolves when the batch is stored: the answer is the acknowledgement. */
export function makeIngestRoute(accept: Accept, onTurnedAway: NoteTurnedAway, now: () => number): Route {
  const patience = makePatience(now);
  return {
    method: 'POST',
    path: INGEST_PATH,
    role: 'host',
    async handle(context, caller) {
      if (caller.kind !== 'host') return refuse(context, 403, 'forbidden', 'Only agents push');
      // Missing, it goes without saying: an agent that pays for every byte says nothing else.
      if ((context.req.header('content-type') ?? BATCH_CONTENT_TYPE) !== BATCH_CONTENT_TYPE) {
        return refuse(context, 415, 'content-type', `Content-Type must be ${BATCH_CONTENT_TYPE}`);
      }
      const { host } = caller;
      const impatience = patience.begin(host);
      if (impatience !== null) {
        onTurnedAway('too-many', host);
        return refuseForNow(context, 429, 'too-many', impatience);
      }
      let vainBytes = 0;
      try {
        const body = await readBody(context, BODY_BYTES_MAX);
        if (!body.ok) return refuseBody(context, body.error);
        const inflated = inflate(body.value, context.req.header('content-encoding') ?? '');
        vainBytes = inflated.ok ? inflated.value.length : VAIN_BYTES[inflated.error];
        if (!inflated.ok) return refuseInflate(context, inflated.error);
        const accepted = await accept(caller, inflated.value);
        if (accepted.ok || accepted.error.kind !== 'malformed') vainBytes = 0;
        return accepted.ok ? context.json(accepted.value) : refuseBatch(context, accepted.error);
      } finally {
        patience.end(host, vainBytes);
      }
    },
  };
}

function refuseBatch(context: Context, fault: IngestFault): Response {
  switch (fault.kind) {
    case 'malformed':
      return refuse(context, 400, 'malformed', fault.message);
    case 'quarantined':
      return refuseEnded(context, 'quarantined');
    case 'unknown-basis':
      // Nothing is wrong: the collector has been started again, or had no room for it.
      return refuse(context, 409, UNKNOWN_BASIS, 'What this batch is told beside is not here; send it in full');
    case 'rejected':
      // Not 503: the agent keeps this batch for later and goes on with others.
      return refuse(context, 500, 'rejected', fault.message);
    case 'busy':
      return refuseForNow(context, 503, 'busy', fault.message);
  }
}

function refuseForNow(context: Context, status: 429 | 503, code: string, message: string): Response {
  context.header('Retry-After', String(RETRY_AFTER_SECONDS));
  return refuse(context, status, code, message);
}

function refuseBody(context: Context, fault: 'too-large' | 'cut'): Response {
  // Not 400: see the server, which answers what it can tell itself.
  if (fault === 'cut') return refuse(context, 408, 'cut', 'The body ended before its length; send it again');
  return refuse(context, 413, 'too-large', `A body may be ${BODY_BYTES_MAX} bytes, compressed; send smaller batches`);
}

function refuseInflate(context: Context, fault: InflateFault): Response {
  switch (fault) {
    case 'malformed':
      return refuse(context, 400, 'malformed', 'The body is not what its Content-Encoding says');
    case 'too-large':
      return refuse(
        context,
        413,
        'too-large',
        `A body may inflate to ${INFLATED_BYTES_MAX} bytes; send smaller batches`,
      );
    case 'unknown-encoding':
      return refuse(context, 415, 'content-encoding', 'Content-Encoding must be zstd or gzip');
  }
}
