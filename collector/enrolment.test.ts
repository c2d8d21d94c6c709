import { expect, test } from 'vitest';

import type { EnrolmentTokenRequest } from '@muster/proto/api';
import type { EnrollReply } from '@muster/proto/push';

import { chooseHost, makeEnrolment } from './enrolment.ts';
import { hashSecret } from './secret.ts';
import { makeTestState } from './test-state.ts';
import { makeTokens } from './tokens.ts';

const DAY_MS = 86_400_000;

function openTestEnrolment() {
  const clock = { nowMs: 1_000_000 };
  const state = makeTestState();
  const now = (): number => clock.nowMs;
  const enrolment = makeEnrolment({ state, onHost: () => undefined, now });
  const tokens = makeTokens({ state, onRevoked: () => undefined, now });
  const create = async (request: EnrolmentTokenRequest = {}) => {
    const created = await enrolment.createToken(request);
    if (!created.ok) throw new Error(created.error);
    return created.value;
  };
  /** The id and token that a machine gets, or why it gets none. */
  const join = async (token: string, name: string, machine: string): Promise<EnrollReply | string> => {
    const reply = await enrolment.enroll({ token, name, machine: machine.padEnd(64, '0') });
    return reply.ok ? reply.value : reply.error;
  };
  const joined = async (token: string, name: string, machine: string): Promise<EnrollReply> => {
    const reply = await join(token, name, machine);
    if (typeof reply === 'string') throw new Error(reply);
    return reply;
  };
  const stateOf = (token: string) => state.hostTokens.get(hashSecret(token))?.state ?? 'unknown';
  return { ...enrolment, create, join, joined, stateOf, tokens, clock, state };
}

test.for([
  ['web-1', [], 'web-1'],
  ['Web 1.Example.COM', [], 'web-1.example.com'],
  ['web-1', ['web-1'], 'web-1-2'],
  ['web-1', ['web-1', 'web-1-2'], 'web-1-3'],
  ['<img src=x onerror=alert(1)>', [], 'img-src-x-onerror-alert-1'],
  ['../../etc/passwd', [], 'etc-passwd'],
  ['東京', [], 'host'],
  ['', [], 'host'],
  ['x'.repeat(300), [], 'x'.repeat(64)],
] as const)('chooseHost(%s, %o) is %s', ([name, taken, host]) => {
  expect(chooseHost(name, (one) => taken.some((other) => other === one))).toBe(host);
});

test('enroll() of a host that comes back keeps what its agent says of it meanwhile', async () => {
  const { create, join, joined, state } = openTestEnrolment();
  await joined((await create()).token, 'web-1', 'a');
  const { token } = await create();
  const again = join(token, 'web-2', 'a');
  await state.hosts.change('web-1', (row) => ({ ...row, inventory: { os: 'Debian' } }));
  await again;
  expect(state.hosts.get('web-1')).toMatchObject({ name: 'web-2', inventory: { os: 'Debian' } });
});

test('enroll() lets in as many machines as the token says, each of them once', async () => {
  const { create, join, joined, stateOf, tokens } = openTestEnrolment();
  const { token } = await create({ hosts: 2 });
  const first = await joined(token, 'web-1', 'a');
  // The same machine again, because the first answer was lost: the token that it did not get ends.
  const again = await joined(token, 'web-1', 'a');
  expect([first.host, again.host]).toEqual(['web-1', 'web-1']);
  expect([stateOf(first.token), stateOf(again.token)]).toEqual(['replaced', 'live']);
  expect(tokens.list().enrolment).toMatchObject([{ state: 'open', used: 1, hosts: 2 }]);
  expect(await join(token, 'web-2', 'b')).toMatchObject({ host: 'web-2' });
  expect(await join(token, 'web-3', 'c')).toBe('used-up');
  expect(await join(token, 'web-1', 'a')).toMatchObject({ host: 'web-1' });
  expect(tokens.list().enrolment).toMatchObject([{ state: 'used-up', used: 2, hosts: 2 }]);
});

test('enroll() takes machines apart that are alike', async () => {
  const { create, join } = openTestEnrolment();
  const { token } = await create();
  expect(await join(token, 'web-1', 'a'.repeat(63))).toMatchObject({ host: 'web-1' });
  expect(await join(token, 'web-2', 'a'.repeat(64))).toBe('used-up');
});

test('enroll() of two hosts of one name at once gives them two ids', async () => {
  const { create, join } = openTestEnrolment();
  const { token } = await create({ hosts: 2 });
  expect(await Promise.all(['a', 'b'].map((machine) => join(token, 'web-1', machine)))).toMatchObject([
    { host: 'web-1' },
    { host: 'web-1-2' },
  ]);
});

test.for(['hosts', 'hostTokens'] as const)(
  'enroll() that the store fails in %s costs no second use, and nobody else gets in',
  async (table) => {
    const { create, join, state } = openTestEnrolment();
    const { token } = await create();
    const intact = { ...state[table] };
    Object.assign(state[table], { put: () => Promise.reject(new Error('disk full')) });
    await expect(join(token, 'web-1', 'a')).rejects.toThrow('disk full');
    Object.assign(state[table], intact);
    expect(await join(token, 'web-2', 'b')).toBe('used-up');
    expect(await join(token, 'web-1', 'a')).toMatchObject({ host: 'web-1' });
  },
);

test('enroll() that cannot store the use lets nobody in, and the token holds', async () => {
  const { create, join, state } = openTestEnrolment();
  const { token } = await create();
  const intact = { ...state.enrolmentTokens };
  Object.assign(state.enrolmentTokens, { change: () => Promise.reject(new Error('disk full')) });
  await expect(join(token, 'web-1', 'a')).rejects.toThrow('disk full');
  expect([...state.hosts.all()]).toEqual([]);
  Object.assign(state.enrolmentTokens, intact);
  expect(await join(token, 'web-2', 'b')).toMatchObject({ host: 'web-2' });
});

test.for([
  // request, after how long, what the token says of itself
  [{}, 15 * 60_000, 'open'],
  [{}, 15 * 60_000 + 1, 'expired'],
  [{ validMs: 30 * DAY_MS }, 30 * DAY_MS, 'open'],
  [{ validMs: 1 }, 2, 'expired'],
  [{ validMs: 1 }, DAY_MS + 2, 'expired'],
] as const)('a token of %o is, %i ms later, %s', async ([request, afterMs, state]) => {
  const { create, join, tokens, clock } = openTestEnrolment();
  const { token } = await create(request);
  clock.nowMs += afterMs;
  expect(tokens.list().enrolment).toMatchObject([{ state }]);
  const reply = await join(token, 'web-1', 'a');
  expect(typeof reply === 'string' ? reply : 'open').toBe(state);
});

test('tokens that expired are known for a day, and cleared away by the next ones, some at a time', async () => {
  const { create, join, clock, state } = openTestEnrolment();
  const { token } = await create();
  for (let i = 0; i < 29; i += 1) await create();
  clock.nowMs += DAY_MS;
  await create();
  expect(await join(token, 'web-1', 'a')).toBe('expired');
  clock.nowMs += DAY_MS;
  for (const left of [12, 3]) {
    await create({ validMs: 10 * DAY_MS });
    expect([...state.enrolmentTokens.all()].length).toBe(left);
  }
  expect(await join(token, 'web-1', 'a')).toBe('unknown');
});

test('createToken() keeps a bounded number, and gives up those that are over before it refuses', async () => {
  const { create, createToken, join } = openTestEnrolment();
  const { token } = await create();
  await join(token, 'web-1', 'a');
  for (let i = 0; i < 999; i += 1) await create();
  expect(await createToken({})).toMatchObject({ ok: true });
  expect(await join(token, 'web-1', 'a')).toBe('unknown');
  expect(await createToken({})).toEqual({ ok: false, error: 'full' });
});

test('enroll() of the same machine keeps the host, ends the old token and takes the new name', async () => {
  const { create, join, joined, stateOf, state } = openTestEnrolment();
  const first = await joined((await create()).token, 'web-1', 'a');
  const second = await joined((await create()).token, 'renamed', 'a');
  expect([second.host, state.hosts.get('web-1')?.name]).toEqual(['web-1', 'renamed']);
  expect([stateOf(first.token), stateOf(second.token)]).toEqual(['replaced', 'live']);
  expect(await join((await create()).token, 'web-1', 'b')).toMatchObject({ host: 'web-1-2' });
});

test('a machine that enrols again and again leaves a bounded number of replaced tokens, the newest', async () => {
  const { create, joined, stateOf, clock, state } = openTestEnrolment();
  const { token } = await create();
  const replies: EnrollReply[] = [];
  for (let i = 0; i < 20; i += 1) {
    clock.nowMs += 1;
    replies.push(await joined(token, 'web-1', 'a'));
  }
  expect([...state.hostTokens.all()].length).toBe(9);
  expect(replies.slice(-10).map((reply) => stateOf(reply.token))).toEqual([
    'unknown',
    ...Array.from({ length: 8 }, () => 'replaced'),
    'live',
  ]);
});

test('revoke() ends an enrolment token, or the token of a host, and neither gets the host in again', async () => {
  const { create, join, joined, stateOf, tokens } = openTestEnrolment();
  const used = await create({ hosts: 2 });
  const host = await joined(used.token, 'web-1', 'a');
  const id = hashSecret(host.token).slice(0, 12);
  expect(await tokens.revoke(id)).toEqual({ ok: true, value: { id, host: 'web-1' } });
  expect(stateOf(host.token)).toBe('revoked');
  expect(tokens.list().hosts).toMatchObject([{ id, host: 'web-1', state: 'revoked' }]);
  // The enrolment token is still good, but not for the machine that was shown the door.
  expect(await join(used.token, 'web-1', 'a')).toBe('revoked');
  expect(await join(used.token, 'web-2', 'b')).toMatchObject({ host: 'web-2' });
  expect(await join((await create()).token, 'web-1', 'a')).toMatchObject({ host: 'web-1' });

  const { id: unusedId, token } = await create();
  expect(await tokens.revoke(unusedId)).toEqual({ ok: true, value: { id: unusedId, host: null } });
  expect(await join(token, 'web-3', 'c')).toBe('revoked');
});

test('revoke() takes the start of an id where that names one token', async () => {
  const { create, state, tokens } = openTestEnrolment();
  const { id } = await create();
  for (const hash of ['beef0', 'beef1']) {
    await state.hostTokens.put({ hash, host: hash, createdMs: 1, state: 'live', sinceMs: 1 });
  }
  await state.hostTokens.put({ hash: 'cafe', host: 'old', createdMs: 1, state: 'replaced', sinceMs: 1 });
  expect(await tokens.revoke('beef')).toEqual({ ok: false, error: 'ambiguous' });
  expect(await tokens.revoke('cafe')).toEqual({ ok: false, error: 'unknown' });
  expect(await tokens.revoke('beef1')).toMatchObject({ ok: true, value: { host: 'beef1' } });
  expect(await tokens.revoke(id.slice(0, 8))).toEqual({ ok: true, value: { id, host: null } });
});
