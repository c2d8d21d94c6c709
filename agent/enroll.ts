import type { Log } from '@muster/proto/log';
import { ENROLL_PATH, readEnrollReply, type EnrollReply, type EnrollRequest } from '@muster/proto/push';
import { err, ok, type Result } from '@muster/proto/result';

import { backoffMs, parseRetryAfter } from './backoff.ts';
import type { HttpClient } from './http-client.ts';
import { post, type Answer } from './post.ts';
import { describeRefusal, messageOf } from './reply.ts';
import { pause, type Closing, type Schedule } from './schedule.ts';

export type EnrollOptions = {
  readonly client: HttpClient;
  readonly request: EnrollRequest;
  readonly deadlineMs: number;
  /** A request under way may have used up the token already: it is let finish. */
  readonly closing: Closing;
  readonly log: Log;
  readonly now: () => number;
  readonly random: () => number;
  readonly schedule: Schedule;
};

/**
 * Joins the fleet. While the collector is away or busy it tries again, for as long as it takes; an error is the
 * collector's refusal, which trying again does not change. Null: the agent was closed before there was an answer.
 */
export async function enroll(options: EnrollOptions): Promise<Result<EnrollReply, string> | null> {
  const { client, request, deadlineMs, closing, log, now, random, schedule } = options;
  for (let failures = 0; !closing.begun.aborted; failures += 1) {
    const answer = await post(client, {
      path: ENROLL_PATH,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
      deadlineMs,
      signal: closing.over,
    });
    const verdict = judgeEnrollment(answer, now());
    if (verdict.kind === 'enrolled') return ok(verdict.reply);
    if (verdict.kind === 'refused') return err(verdict.reason);
    if (failures === 0 && !closing.begun.aborted) log.warn('enroll.waiting', { reason: verdict.reason });
    await pause(schedule, backoffMs(failures, verdict.retryAfterMs, random), closing.begun);
  }
  return null;
}

export type EnrollVerdict =
  | { readonly kind: 'enrolled'; readonly reply: EnrollReply }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unavailable'; readonly reason: string; readonly retryAfterMs: number };

/**
 * What an answer to a request to enrol means. Only what the token or the request itself causes is a refusal, and only a
 * collector knows that: a proxy on the way, or another server at the address, may be mended.
 */
export function judgeEnrollment(answer: Answer, nowMs: number): EnrollVerdict {
  if (answer.kind === 'unreachable') return { kind: 'unavailable', reason: answer.reason, retryAfterMs: 0 };
  const { status, retryAfter, body } = answer;
  const reply = status === 200 || status === 201 ? readEnrollReply(body) : null;
  if (reply !== null) return { kind: 'enrolled', reply };
  const reason = describeRefusal(status, body);
  if (messageOf(body) !== null && [400, 401, 403, 409, 413, 422].includes(status)) return { kind: 'refused', reason };
  return { kind: 'unavailable', reason, retryAfterMs: parseRetryAfter(retryAfter, nowMs) };
}
