import { once } from 'node:events';

import { afterEach, beforeEach, expect, test } from 'vitest';
import * as v from 'valibot';

import { defineJob } from './job.ts';
import { openTestCollector, readCode, type TestCollector } from './test-collector.ts';

let collector: TestCollector;
/** What the job `wait` went through. */
let seen: string[];

const COUNT = defineJob({
  name: 'count',
  options: v.strictObject({ to: v.pipe(v.number(), v.maxValue(9)) }),
  async run(store, { to }, { onProgress }) {
    for (let done = 1; done <= to; done += 1) onProgress({ done, total: to, what: `number ${done}` });
    const [row] = await store.engine.query('SELECT {to:UInt32} AS counted', { to });
    return { counted: row?.['counted'] };
  },
});

const FAIL = defineJob({
  name: 'fail',
  options: v.object({}),
  run: () => Promise.reject(new Error('Cannot do it', { cause: new Error('it is too late') })),
});

/** Ends only when it is cancelled, and then not at once. */
const WAIT = defineJob({
  name: 'wait',
  options: v.object({}),
  async run(store, _options, { onProgress, signal }) {
    seen.push('begun');
    onProgress({ done: 0, total: null, what: 'waiting' });
    if (!signal.aborted) await once(signal, 'abort');
    await store.engine.query('SELECT 1'); // the store is open still
    seen.push('ended');
    return Promise.reject(new Error('cancelled'));
  },
});

beforeEach(async () => {
  seen = [];
  collector = await openTestCollector({ jobs: [COUNT, FAIL, WAIT] });
  close = () => collector.close();
});

/** Closes it, once. */
let close: () => Promise<void>;

afterEach(() => close());

function start(name: string, options: unknown, signal: AbortSignal | null = null): Promise<Response> {
  return fetch(`${collector.origin}/api/v1/store/jobs/${name}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${collector.key}` },
    body: JSON.stringify(options),
    signal,
  });
}

async function readLines(response: Response): Promise<readonly unknown[]> {
  return (await response.text())
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
}

test('a job tells its progress and its result, a line each; another one follows', async () => {
  for (const to of [3, 2]) {
    const response = await start('count', { to });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
    const numbers = Array.from({ length: to }, (_, i) => i + 1);
    expect(await readLines(response)).toEqual([
      ...numbers.map((done) => ({ progress: { done, total: to, what: `number ${done}` } })),
      { result: { counted: to } },
    ]);
  }
});

test('a job that fails says why in its last line, and so does the log', async () => {
  expect(await readLines(await start('fail', {}))).toEqual([
    { error: { code: 'failed', message: 'Cannot do it: it is too late' } },
  ]);
  expect(collector.lines.filter((line) => line.includes('job.failed'))).toHaveLength(1);
  expect((await start('count', { to: 1 })).status).toBe(200);
});

test.for([
  ['cuont', { to: 1 }, 404, 'unknown-job', /no job cuont; there are count, fail, wait/],
  ['count', { to: 10 }, 400, 'bad-options', /job count so: to: .*<=9/],
  ['count', { to: 1, from: 0 }, 400, 'bad-options', /from/],
  ['count', null, 400, 'bad-options', /the body/],
] as const)('the job %s with %o is refused with %i %s', async ([name, options, status, code, said]) => {
  const response = await start(name, options);
  expect([response.status, await readCode(response.clone())]).toEqual([status, code]);
  expect(await response.text()).toMatch(said);
});

test('one job runs at a time; who goes away cancels his', async () => {
  const gone = new AbortController();
  const waiting = await start('wait', {}, gone.signal);
  expect(waiting.status).toBe(200);
  const refused = await start('count', { to: 1 });
  expect(refused.status).toBe(409);
  expect(await refused.json()).toMatchObject({
    error: { code: 'busy', message: expect.stringMatching(/job wait is running since \d{4}-\d\d-\d\dT/) },
  });
  gone.abort();
  await expect.poll(() => seen).toEqual(['begun', 'ended']);
  await expect.poll(async () => (await start('count', { to: 1 })).status).toBe(200);
});

test('a stop of the collector cancels the job, waits for it, and says so', async () => {
  const response = await start('wait', {});
  await collector.close();
  close = async () => undefined;
  expect(seen).toEqual(['begun', 'ended']);
  expect(await readLines(response)).toEqual([
    { progress: { done: 0, total: null, what: 'waiting' } },
    { error: { code: 'cancelled', message: 'Cancelled: The collector is stopping' } },
  ]);
});
