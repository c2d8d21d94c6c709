import { readAck } from '@muster/proto/push';
import { isRecord } from '@muster/proto/record';

import { backoffMs, parseRetryAfter } from './backoff.ts';
import type { Answer } from './post.ts';

/**
 * What an answer to a batch means, and how long to wait before anything else is sent.
 *
 * delivered: it is in the store, and with `isKept` the next may be told beside it · refused: it never will be · failed: the collector, or what is on the way to it, failed
 * on this batch, another one may go through · unavailable: it takes none now · unauthorised: this host's token is not
 * taken, and someone must act.
 */
export type Verdict =
  | { readonly kind: 'delivered'; readonly everyMs: number | null; readonly isKept: boolean }
  | {
      readonly kind: 'refused' | 'failed' | 'unavailable' | 'unauthorised';
      readonly reason: string;
      readonly waitMs: number;
    };

export type Circumstances = {
  readonly seq: number;
  /** Tries since the last batch that was delivered. */
  readonly failures: number;
  readonly nowMs: number;
  readonly random: () => number;
};

/** Only a person can change that, and hosts whose tokens were revoked are not to be a load. */
const UNAUTHORISED_MS = 60_000;

/** Only an acknowledgement of this very batch counts as one: a proxy may well answer 200 with a page of its own. */
export function judgeReply(answer: Answer, { seq, failures, nowMs, random }: Circumstances): Verdict {
  if (answer.kind === 'unreachable') {
    return { kind: 'unavailable', reason: answer.reason, waitMs: backoffMs(failures, 0, random) };
  }
  const { status, retryAfter, body } = answer;
  const ack = status === 200 ? readAck(body) : null;
  if (ack !== null && ack.ack === seq) {
    return { kind: 'delivered', everyMs: ack.everyMs ?? null, isKept: ack.kept === true };
  }
  const reason = describeRefusal(status, body);
  const waitMs = backoffMs(failures, parseRetryAfter(retryAfter, nowMs), random);
  switch (status) {
    case 400: // malformed
    case 413: // too large
    case 415: // of a type or an encoding that it does not know
    case 422: // not to be processed
      // Only a collector knows that it never will take a batch. A proxy on the way may be mended: nothing is given up for
      // it. Nor is the spool to be emptied into what refuses all, at once.
      return { kind: messageOf(body) === null ? 'failed' : 'refused', reason, waitMs };
    case 401: // unknown or revoked
    case 403:
      return { kind: 'unauthorised', reason, waitMs: waitMs + UNAUTHORISED_MS };
    case 500:
      return { kind: 'failed', reason, waitMs };
    default:
      return { kind: 'unavailable', reason, waitMs };
  }
}

/** Whether a batch that was told beside another one is to be sent again in full, rather than waited with. */
export function wantsFull(answer: Answer): boolean {
  return answer.kind === 'answered' && [400, 409, 413, 415, 422].includes(answer.status);
}

/** The collector's own words if there are any, else what can be told from the status. */
export function describeRefusal(status: number, body: unknown): string {
  const message = messageOf(body);
  return message === null ? `${status}, not as a collector answers` : `${status}: ${message.slice(0, 500)}`;
}

/** What a collector says of its refusal; null for what is none of its answers. */
export function messageOf(body: unknown): string | null {
  const error = isRecord(body) ? body['error'] : null;
  const message = isRecord(error) ? error['message'] : null;
  return typeof message === 'string' ? message : null;
}
