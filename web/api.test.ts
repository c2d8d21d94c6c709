import { expect, test } from 'vitest';

import { type Fault, makeApi } from './api.ts';

const answer = (status: number, body: string | null) => async () => new Response(body, { status });

test.for([
  // answer of the collector, status and message of the fault
  [answer(401, '{"error":{"code":"bad-key","message":"the key is wrong"}}'), 401, 'the key is wrong'],
  [answer(503, '<html>'), 503, 'The collector answered 503.'],
  [answer(500, '{"error":"x"}'), 500, 'The collector answered 500.'],
  [answer(200, '[]'), 200, 'Something that is not the collector answered.'],
  [answer(200, '<html>'), 200, 'Something that is not the collector answered.'],
  [async () => Promise.reject(new TypeError('fetch failed')), null, 'The collector does not answer.'],
] as const)('makeApi() gives a fault for a bad answer (%#)', async ([fetchFrom, status, message]) => {
  const told: Fault[] = [];
  const reply = await makeApi(fetchFrom, (fault) => told.push(fault)).openSession('k');
  expect(reply).toEqual({ ok: false, error: { status, message } });
  expect(told.length).toBe(status === 401 ? 1 : 0);
});

test('makeApi() asks for what it is asked for', async () => {
  const asked: unknown[] = [];
  const api = makeApi(
    async (input, init) => {
      asked.push([init?.method, input, init?.body]);
      return init?.method === 'GET' ? Response.json({ hosts: [] }) : new Response(null, { status: 204 });
    },
    () => undefined,
  );
  expect((await api.readHosts()).ok).toBe(true);
  await api.openSession('a key');
  await api.readHost('../x');
  await api.readSeries({ host: 'a', metric: 'm&n', fromMs: 1, toMs: 2 });
  expect(asked).toEqual([
    ['GET', '/api/v1/hosts', null],
    ['POST', '/api/v1/session', '{"key":"a key"}'],
    ['GET', '/api/v1/hosts/..%2Fx', null],
    ['GET', '/api/v1/series?host=a&metric=m%26n&fromMs=1&toMs=2', null],
  ]);
});
