import type { Context } from 'hono';

import { describeError, type Log } from '@muster/proto/log';
import type { Refusal } from '@muster/proto/push';

import { StoreError } from '../domain/store-error.ts';

/** What a request is answered with, whichever way it came: JSON. */
export type Answer = {
  readonly status: 200 | 400 | 401 | 403 | 404 | 408 | 409 | 413 | 415 | 429 | 500 | 503;
  readonly body: object;
  readonly retryAfterSeconds?: number;
};

/** How soon to ask again when the store takes nothing. */
const RETRY_AFTER_SECONDS = 5;

/** An answer that says what was wrong and what to do. */
export function makeRefusal(status: Answer['status'], code: string, message: string): Answer {
  return { status, body: { error: { code, message } } satisfies Refusal };
}

/** The answer to a request on which something was thrown; the log says what, unless it was told of where it was noticed. */
export function answerFailure(error: unknown, request: { method: string; path: string }, log: Log): Answer {
  const isStore = error instanceof StoreError;
  // A full disk, or a server that is away, is logged once, where it is noticed, not with every request that meets it.
  if (!isStore || !error.isOutage) log.error('http.failed', { ...request, error: describeError(error) });
  if (isStore) return { ...makeRefusal(503, 'store', error.message), retryAfterSeconds: RETRY_AFTER_SECONDS };
  return makeRefusal(500, 'internal', 'The collector could not answer; its log says why');
}

export function respond(context: Context, { status, body, retryAfterSeconds }: Answer): Response {
  if (retryAfterSeconds !== undefined) context.header('Retry-After', String(retryAfterSeconds));
  return context.json(body, status);
}
