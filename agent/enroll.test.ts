import { expect, test } from 'vitest';

import { openHttpClient } from './http-client.ts';
import { enroll, judgeEnrollment } from './enroll.ts';
import { scheduleTimer } from './schedule.ts';
import { openStandIn, type Manner } from './testing/collector.ts';
import { makeEvents } from './testing/events.ts';

const REQUEST = { token: 'enrolment', name: '<b>web</b>', machine: 'a'.repeat(64) };

const NEVER = new AbortController().signal;

async function enrollWith(manners: readonly Manner[], begun: AbortSignal, over: AbortSignal = NEVER) {
  const collector = await openStandIn();
  const client = openHttpClient({ url: collector.url }, { keepMs: 70_000, connections: 2 });
  const events = makeEvents();
  collector.expect(...manners);
  const reply = await enroll({
    client,
    request: REQUEST,
    deadlineMs: 200,
    closing: { begun, over },
    log: events.log,
    now: Date.now,
    random: () => 0.5,
    schedule: (run, delayMs) => scheduleTimer(run, delayMs / 100),
  });
  client.close();
  await collector.close();
  return { reply, events, requests: collector.requests };
}

test('enroll() sends token, name and machine, and returns host and token', async () => {
  const { reply, requests } = await enrollWith([], NEVER);
  expect(reply).toEqual({ ok: true, value: { host: 'host-1', token: 'token-1' } });
  expect(JSON.parse(requests[0]?.body.toString() ?? '')).toEqual(REQUEST);
});

test('enroll() tries again while the collector is away or busy, and says so once', async () => {
  const { reply, events, requests } = await enrollWith(
    [{ kind: 'cut' }, { kind: 'hang' }, { kind: 'answer', status: 503 }, { kind: 'answer', status: 404 }],
    NEVER,
  );
  expect(reply?.ok).toBe(true);
  expect(requests).toHaveLength(5);
  expect(events.names()).toEqual(['WARN enroll.waiting']);
});

test.for([400, 401, 403])('enroll() gives up when it is refused with %i', async (status) => {
  const { reply, requests } = await enrollWith([{ kind: 'answer', status }], NEVER);
  expect(reply).toEqual({ ok: false, error: `${status}: as the test wants it` });
  expect(requests).toHaveLength(1);
});

test.for([
  [400, { error: { code: 'malformed', message: 'no name' } }, 'refused'],
  [403, { error: { code: 'forbidden', message: 'used up' } }, 'refused'],
  [403, undefined, 'unavailable'], // a page of a proxy
  [400, { message: 'what another server says' }, 'unavailable'],
  [200, { host: 'web-1' }, 'unavailable'],
] as const)('an answer %i with %o to a request to enrol means: %s', ([status, body, kind]) => {
  expect(judgeEnrollment({ kind: 'answered', status, retryAfter: '', body }, 0).kind).toBe(kind);
});

test('enroll() lets the request under way finish when the agent is closed, and begins no other', async () => {
  const late = await enrollWith([{ kind: 'late', delayMs: 50 }], AbortSignal.abort(), NEVER);
  expect(late.requests).toHaveLength(0);
  const underWay = await enrollWith([{ kind: 'late', delayMs: 100 }], AbortSignal.timeout(50));
  expect(underWay.reply?.ok).toBe(true);
  const hanging = await enrollWith([{ kind: 'hang' }, { kind: 'hang' }], AbortSignal.timeout(50));
  expect(hanging.reply).toBe(null);
  expect(hanging.requests).toHaveLength(1);
});

test('enroll() gives up the request under way when the time is over', async () => {
  const over = AbortSignal.timeout(20);
  const { reply } = await enrollWith([{ kind: 'late', delayMs: 150 }], over, over);
  expect(reply).toBe(null);
});
