import type { Context } from 'hono';

import { BATCH_CONTENT_TYPE, BODY_BYTES_MAX, INFLATED_BYTES_MAX, INGEST_PATH, type Ack } from '@muster/proto/push';
import type { Result } from '@muster/proto/result';

import { makeInflate, type InflateFault } from '../../ingest/inflate.ts';
import type { IngestFault, Sender } from '../../ingest/ingest.ts';
import type { Route } from '../app.ts';
import { refuse, refuseEnded } from '../auth.ts';
import { readBody } from '../body.ts';

const RETRY_AFTER_SECONDS = 2;

/** Where agents push. `accept` resolves when the batch is stored: the answer is the acknowledgement. */
export function makeIngestRoute(
  accept: (sender: Sender, body: Uint8Array) => Promise<Result<Ack, IngestFault>>,
): Route {
  const inflate = makeInflate();
  return {
    method: 'POST',
    path: INGEST_PATH,
    role: 'host',
    async handle(context, caller) {
      if (caller.kind !== 'host') return refuse(context, 403, 'forbidden', 'Only agents push');
      if (context.req.header('content-type') !== BATCH_CONTENT_TYPE) {
        return refuse(context, 415, 'content-type', `Content-Type must be ${BATCH_CONTENT_TYPE}`);
      }
      const body = await readBody(context, BODY_BYTES_MAX);
      if (!body.ok) {
        if (body.error === 'cut') return refuse(context, 400, 'cut', 'The body ended before its length');
        return refuse(
          context,
          413,
          'too-large',
          `A body may be ${BODY_BYTES_MAX} bytes, compressed; send smaller batches`,
        );
      }
      const inflated = await inflate(body.value, context.req.header('content-encoding') ?? '');
      if (!inflated.ok) return refuseInflate(context, inflated.error);
      const accepted = await accept(caller, inflated.value);
      if (accepted.ok) return context.json(accepted.value);
      if (accepted.error.kind === 'quarantined') return refuseEnded(context, 'quarantined');
      if (accepted.error.kind === 'malformed') return refuse(context, 400, 'malformed', accepted.error.message);
      // Not 503: the agent keeps this batch for later and goes on with others.
      if (accepted.error.kind === 'rejected') return refuse(context, 500, 'rejected', accepted.error.message);
      context.header('Retry-After', String(RETRY_AFTER_SECONDS));
      return refuse(context, 503, 'busy', accepted.error.message);
    },
  };
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
