import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { beforeEach, expect, test } from 'vitest';

import { encodeBatch } from '@muster/proto/batch';
import { isRecord } from '@muster/proto/record';

import { makeTestBatch, openTestCollector, type TestCollector } from './test-collector.ts';

// How hosts join and are shown the door, over HTTP, with the real store beneath.

let data: string;
let collector: TestCollector;
/** How far the collector's clock is ahead of ours. */
let aheadMs: number;
let ticks: number;

beforeEach(async () => {
  [aheadMs, ticks] = [0, 0];
  data = await mkdtemp(join(tmpdir(), 'muster-tokens-'));
  await start();
  return async () => {
    await collector.close();
    await rm(data, { recursive: true });
  };
});

async function start(): Promise<void> {
  collector = await openTestCollector({ data, now: () => Date.now() + aheadMs });
}

async function restart(): Promise<void> {
  await collector.close();
  await start();
}

type Answer = {
  readonly status: number;
  readonly body: Record<string, unknown>;
  /** Of a refusal. */
  readonly code: unknown;
  readonly message: string;
};

async function read(response: Response): Promise<Answer> {
  const value: unknown = await response.json();
  const body = isRecord(value) ? value : {};
  const { code = null, message = '' } = isRecord(body['error']) ? body['error'] : {};
  return { status: response.status, body, code, message: typeof message === 'string' ? message : '' };
}

async function create(body: string | null = null): Promise<Answer> {
  const headers = { Authorization: `Bearer ${collector.key}` };
  return read(await fetch(`${collector.origin}/api/v1/enrolment-tokens`, { method: 'POST', headers, body }));
}

async function enroll(token: unknown, name: string, machine: string): Promise<Answer> {
  const body = JSON.stringify({ token, name, machine: machine.padEnd(64, '0') });
  return read(await fetch(`${collector.origin}/api/v1/enroll`, { method: 'POST', body }));
}

/** Makes a token and joins with it. */
async function enrolNew(name: string, machine: string): Promise<string> {
  const { body } = await enroll((await create()).body['token'], name, machine);
  return String(body['token']);
}

const startMs = Math.floor(Date.now() / 1000) * 1000 - 60_000;

/** Pushes one sample; gives the status and the code of a refusal. */
async function push(token: string, run?: number): Promise<readonly [status: number, code: unknown]> {
  ticks += 1;
  const batch = makeTestBatch(ticks, startMs + ticks * 10, [['system.uptime', '', ticks]]);
  const answer = await read(await collector.push(token, encodeBatch(run === undefined ? batch : { ...batch, run })));
  return [answer.status, answer.code];
}

/** How many samples of a host are in the store. */
async function countSamples(host: string): Promise<number> {
  const query = `host=${host}&metric=system.uptime&fromMs=${startMs}&toMs=${startMs + 3_600_000}`;
  const { body } = await read(await collector.asAdmin(`/api/v1/series?${query}`));
  const [series]: unknown[] = Array.isArray(body['series']) ? body['series'] : [];
  return isRecord(series) && Array.isArray(series['values']) ? series['values'].length : 0;
}

async function statusOf(host: string): Promise<unknown> {
  const { row } = (await read(await collector.asAdmin(`/api/v1/hosts/${host}`))).body;
  return isRecord(row) ? row['status'] : null;
}

async function hostTokens(): Promise<readonly Record<string, unknown>[]> {
  const { body } = await read(await collector.asAdmin('/api/v1/tokens'));
  return Array.isArray(body['hosts']) ? body['hosts'] : [];
}

function countLogged(event: string): number {
  return collector.lines.filter((line) => line.includes(`"event":"${event}"`)).length;
}

test('an enrolment token holds over a restart, and fifty hosts at once are as many as it lets in', async () => {
  const { status, body } = await create('{"hosts":7,"validMs":3600000}');
  expect([status, body]).toMatchObject([201, { hosts: 7, id: expect.stringMatching(/^[0-9a-f]{12}$/) }]);
  await restart();
  const machines = Array.from({ length: 50 }, (_, i) => `a${String(i).padStart(2, '0')}`);
  const answers = await Promise.all(machines.map((machine) => enroll(body['token'], 'web', machine)));
  const joined = answers.filter((answer) => answer.status === 201);
  expect(new Set(joined.map((answer) => answer.body['host'])).size).toBe(7);
  expect(answers.filter(({ code }) => code === 'token-used-up').length).toBe(43);
  await restart();
  expect((await enroll(body['token'], 'web', 'b')).code).toBe('token-used-up');
  // The same machine costs no second use, whenever it asks.
  const again = machines[answers.findIndex((answer) => answer.status === 201)] ?? '';
  expect((await enroll(body['token'], 'web', again)).status).toBe(201);
  const listed = await read(await collector.asAdmin('/api/v1/tokens'));
  expect(listed.body['enrolment']).toMatchObject([{ id: body['id'], used: 7, hosts: 7, state: 'used-up' }]);
  expect(JSON.stringify(listed.body)).not.toContain(body['token']);
});

test('an enrolment token expires, and a guess says nothing about others', async () => {
  const { body } = await create();
  aheadMs = 15 * 60_000 + 1000;
  expect(await enroll(body['token'], 'web-1', 'a')).toMatchObject({ status: 401, code: 'token-expired' });
  expect(await enroll(`${String(body['token'])}x`, 'web-1', 'a')).toMatchObject({ status: 401, code: 'token-unknown' });
});

test.for([
  '{"hosts":0}',
  '{"hosts":10001}',
  '{"hosts":1.5}',
  '{"hosts":"2"}',
  '{"validMs":0}',
  '{"validMs":2592000001}',
  '{"host":2}',
  'null',
  'two',
])('POST /api/v1/enrolment-tokens of %s is refused', async (body) => {
  expect(await create(body)).toMatchObject({ status: 400, code: 'malformed' });
});

test('revoking holds from the next request on and over a restart; with a new token the host has its history', async () => {
  const token = await enrolNew('web-1', 'a');
  expect(await push(token)).toEqual([200, null]);
  const [row] = await hostTokens();
  const revoked = await read(await collector.asAdmin(`/api/v1/tokens/${String(row?.['id'])}`, 'DELETE'));
  expect(revoked).toMatchObject({ status: 200, body: { id: row?.['id'], host: 'web-1' } });
  expect(await push(token)).toEqual([401, 'revoked']);
  expect(await statusOf('web-1')).toBe('revoked');
  await restart();
  expect(await push(token)).toEqual([401, 'revoked']);
  expect(await hostTokens()).toMatchObject([{ host: 'web-1', state: 'revoked' }]);
  expect(await statusOf('web-1')).toBe('revoked');
  const fresh = await enrolNew('web-1', 'a');
  expect(await push(fresh)).toEqual([200, null]);
  expect(await statusOf('web-1')).toBe('up');
  expect([await countSamples('web-1'), await countSamples('web-1-2')]).toEqual([2, 0]);
});

test.for([
  ['abc', 404, 'unknown-token'],
  ['0000', 404, 'unknown-token'],
  ['..%2f..%2fetc', 404, 'unknown-token'],
  ['ABCDEF', 404, 'unknown-token'],
] as const)('DELETE /api/v1/tokens/%s is answered with %i', async ([id, status, code]) => {
  expect(await read(await collector.asAdmin(`/api/v1/tokens/${id}`, 'DELETE'))).toMatchObject({ status, code });
});

test('two agents with one token are quarantined, others are not disturbed, and enrolling anew ends it', async () => {
  const good = await enrolNew('good', 'a');
  const token = await enrolNew('web-1', 'b');
  const [A, B] = [11, 22];
  // A restarts as B; a request of A arrives late. Then the copy sends as well.
  for (const run of [A, B, A, B, A, B]) expect(await push(token, run)).toEqual([200, null]);
  expect(await push(good, 33)).toEqual([200, null]);
  expect([await statusOf('web-1'), countLogged('host.quarantined')]).toEqual(['up', 0]);

  expect(await push(token, A)).toEqual([403, 'quarantined']);
  const answers = await Promise.all([A, B, A, B].map((run) => push(token, run)));
  expect(answers).toEqual(answers.map(() => [403, 'quarantined']));
  expect([await statusOf('web-1'), await statusOf('good')]).toEqual(['quarantined', 'up']);
  expect(await countSamples('web-1')).toBe(6);
  const { status, message } = await read(await collector.push(token, new Uint8Array()));
  expect([status, message]).toEqual([403, expect.stringContaining('enrol both with new enrolment tokens')]);
  expect(message.length).toBeLessThanOrEqual(500); // what the agent logs of it
  expect(await push(good, 33)).toEqual([200, null]);
  expect(collector.lines.filter((line) => line.includes('"event":"host.quarantined"'))).toEqual([
    expect.stringMatching(/"level":"ERROR".*"host":"web-1","runs":\[22,11\]/),
  ]);

  await restart();
  expect([await push(token, A), await statusOf('web-1')]).toEqual([[403, 'quarantined'], 'quarantined']);
  expect(await hostTokens()).toContainEqual(expect.objectContaining({ host: 'web-1', state: 'quarantined' }));

  const [fresh, other] = [await enrolNew('web-1', 'b'), await enrolNew('web-1', 'c')];
  expect([await push(fresh, 44), await push(other, 55)]).toEqual([
    [200, null],
    [200, null],
  ]);
  expect([await statusOf('web-1'), await statusOf('web-1-2')]).toEqual(['up', 'up']);
  expect(await countSamples('web-1')).toBe(7);
  expect(await push(token, B)).toEqual([401, 'replaced']);
});

test('two machines with one machine id are found out by the token that the second one replaced', async () => {
  const first = await enrolNew('web-1', 'a');
  const second = await enrolNew('web-1', 'a');
  expect(await push(second)).toEqual([200, null]);
  for (let i = 0; i < 3; i += 1) expect(await push(first)).toEqual([401, 'replaced']);
  expect(countLogged('host.replaced-token-used')).toBe(1);
  await restart();
  const { message } = await read(await collector.push(first, new Uint8Array()));
  expect(message).toContain('machine id is in use twice');
  expect(message.length).toBeLessThanOrEqual(500);
  expect(countLogged('host.replaced-token-used')).toBe(1);
});
