import { expect, test } from 'vitest';

import { judgeEnrollment } from './enroll.ts';
import type { Answer } from './post.ts';
import { judgeReply } from './reply.ts';

const REFUSAL = { error: { code: 'x', message: 'because' } };

function answer(status: number, body: unknown, retryAfter = ''): Answer {
  return { kind: 'answered', status, retryAfter, body };
}

const AWAY: Answer = { kind: 'unreachable', reason: 'ECONNREFUSED' };

test.for([
  // answer to batch 7 after two failures, with chance 0.5 → verdict
  [answer(200, { ack: 7 }), { kind: 'delivered', everyMs: null, isKept: false }],
  [answer(200, { ack: 7, everyMs: 1000 }), { kind: 'delivered', everyMs: 1000, isKept: false }],
  [answer(200, { ack: 7, kept: true, nowMs: 5, heldMs: 1 }), { kind: 'delivered', everyMs: null, isKept: true }],
  [answer(200, { ack: 6 }), { kind: 'unavailable', reason: '200, not as a collector answers', waitMs: 2_000 }],
  [answer(200, undefined), { kind: 'unavailable', reason: '200, not as a collector answers', waitMs: 2_000 }],
  [answer(302, undefined), { kind: 'unavailable', reason: '302, not as a collector answers', waitMs: 2_000 }],
  [answer(400, REFUSAL), { kind: 'refused', reason: '400: because', waitMs: 2_000 }],
  [answer(400, undefined), { kind: 'failed', reason: '400, not as a collector answers', waitMs: 2_000 }],
  [answer(413, undefined), { kind: 'failed', reason: '413, not as a collector answers', waitMs: 2_000 }],
  [answer(401, REFUSAL), { kind: 'unauthorised', reason: '401: because', waitMs: 62_000 }],
  [answer(404, undefined), { kind: 'unavailable', reason: '404, not as a collector answers', waitMs: 2_000 }],
  [answer(413, REFUSAL), { kind: 'refused', reason: '413: because', waitMs: 2_000 }],
  [answer(429, REFUSAL, '3'), { kind: 'unavailable', reason: '429: because', waitMs: 5_000 }],
  [answer(500, REFUSAL), { kind: 'failed', reason: '500: because', waitMs: 2_000 }],
  [answer(502, undefined), { kind: 'unavailable', reason: '502, not as a collector answers', waitMs: 2_000 }],
  [
    answer(503, REFUSAL, 'Thu, 01 Jan 1970 00:00:04 GMT'),
    { kind: 'unavailable', reason: '503: because', waitMs: 5_000 },
  ],
  [AWAY, { kind: 'unavailable', reason: 'ECONNREFUSED', waitMs: 2_000 }],
] as const)('judgeReply(%o) is %o', ([given, verdict]) => {
  expect(judgeReply(given, { seq: 7, failures: 2, nowMs: 1_000, random: () => 0.5 })).toEqual(verdict);
});

test.for([
  [answer(200, { host: 'a', token: 'b' }), 'enrolled'],
  [answer(200, undefined), 'unavailable'],
  [answer(401, REFUSAL), 'refused'],
  [answer(403, REFUSAL), 'refused'],
  [answer(404, REFUSAL), 'unavailable'],
  [answer(429, REFUSAL), 'unavailable'],
  [answer(503, REFUSAL), 'unavailable'],
  [AWAY, 'unavailable'],
] as const)('judgeEnrollment(%o) is %s', ([given, kind]) => {
  expect(judgeEnrollment(given, 0).kind).toBe(kind);
});
