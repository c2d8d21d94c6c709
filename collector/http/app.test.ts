import { expect, test } from 'vitest';

import { makeLog } from '@muster/proto/log';
import { BATCH_CONTENT_TYPE, INGEST_PATH } from '@muster/proto/push';
import { err } from '@muster/proto/result';

import { StoreError } from '../domain/store-error.ts';
import type { IngestFault } from '../ingest/ingest.ts';
import { makeApp, type Route } from './app.ts';
import { makeIngestRoute, makeTakePush } from './routes/ingest.ts';

/** An application of one route, and what it logs. */
function makeTestApp(route: Route) {
  const lines: string[] = [];
  const log = makeLog((line) => void lines.push(line), Date.now);
  const authorise = () => ({ kind: 'host', host: 'web-1', token: 'aa' }) as const;
  return { app: makeApp({ routes: [route], page: () => null, authorise, onAdmitted: () => undefined, log }), lines };
}

test.for([
  // what is thrown, the answer, whether the log says it again
  [new StoreError('Cannot write: the disk is full', true, new Error('243')), 503, 'store', false],
  [new StoreError('Cannot reach the server', false, new Error('ECONNREFUSED'), true), 503, 'store', false],
  [new StoreError('Cannot write', false, new Error('27')), 503, 'store', true],
  [new TypeError('undefined is no function'), 500, 'internal', true],
] as const)('a route that throws %s is answered by %i', async ([error, status, code, isLogged]) => {
  const { app, lines } = makeTestApp({
    method: 'POST',
    path: '/api/v1/session',
    role: 'anyone',
    handle: () => Promise.reject(error),
  });
  const response = await app.request('/api/v1/session', { method: 'POST' });
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({ error: { code } });
  expect(response.headers.get('retry-after')).toBe(status === 503 ? '5' : null);
  expect(lines.length > 0).toBe(isLogged);
});

test.for([
  ['malformed', 400, null],
  ['rejected', 500, null],
  ['busy', 503, '2'],
] as const)('a batch that is %s is answered by %i, Retry-After %s', async ([kind, status, retryAfter]) => {
  const fault: IngestFault = { kind, message: 'why' };
  const { app } = makeTestApp(
    makeIngestRoute(
      makeTakePush(
        () => Promise.resolve(err(fault)),
        () => undefined,
        Date.now,
      ),
    ),
  );
  const headers = { 'Content-Type': BATCH_CONTENT_TYPE };
  const response = await app.request(INGEST_PATH, { method: 'POST', headers, body: 'batch' });
  expect([response.status, response.headers.get('retry-after')]).toEqual([status, retryAfter]);
  expect(await response.json()).toEqual({ error: { code: kind, message: 'why' } });
});
