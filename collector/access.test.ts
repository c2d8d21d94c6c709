import { expect, test } from 'vitest';

import { chooseHost, openAccess } from './access.ts';
import type { State, StateTable } from './store/state.ts';

/** The contract of a state table, kept in memory: what access decides does not depend on the store. */
function makeTable<T>(key: keyof T): StateTable<T> {
  const rows = new Map<string, T>();
  return {
    get: (name) => rows.get(name),
    all: () => rows.values(),
    put: async (row) => void rows.set(String(row[key]), row),
    remove: async (name) => void rows.delete(name),
  };
}

function openTestAccess() {
  const clock = { nowMs: 1_000_000 };
  const state: State = { hosts: makeTable('host'), hostTokens: makeTable('hash'), sessions: makeTable('hash') };
  const access = openAccess({ state, accessKey: 'the-key', onHost: () => undefined, now: () => clock.nowMs });
  return { access, clock, state };
}

const NOBODY = { bearer: null, sessionId: null };
const MACHINE = 'a'.repeat(64);

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
  expect(chooseHost(name, new Set(taken))).toBe(host);
});

test('authorise() knows the access key, and nobody by anything else', () => {
  const { access } = openTestAccess();
  expect(access.authorise({ ...NOBODY, bearer: 'the-key' })).toEqual({ kind: 'admin', session: null });
  for (const bearer of ['', 'the-key ', 'the-ke', 'x'.repeat(10_000)]) {
    expect(access.authorise({ ...NOBODY, bearer })).toEqual({ kind: 'anyone' });
  }
  expect(access.authorise({ ...NOBODY, sessionId: 'the-key' })).toEqual({ kind: 'anyone' });
});

test('enroll() gives a token that names the host, once per enrolment token', async () => {
  const { access } = openTestAccess();
  const { token } = access.createEnrolmentToken();
  const reply = await access.enroll({ token, name: 'web-1', machine: MACHINE });
  expect(reply?.host).toBe('web-1');
  expect(access.authorise({ ...NOBODY, bearer: reply?.token ?? '' })).toEqual({ kind: 'host', host: 'web-1' });
  expect(await access.enroll({ token, name: 'web-2', machine: 'b'.repeat(64) })).toBeNull();
});

test('enroll() refuses an expired token', async () => {
  const { access, clock } = openTestAccess();
  const { token, expiresMs } = access.createEnrolmentToken();
  clock.nowMs = expiresMs + 1;
  expect(await access.enroll({ token, name: 'web-1', machine: MACHINE })).toBeNull();
});

test('enroll() of the same machine keeps the host, ends the old token and takes the new name', async () => {
  const { access, state } = openTestAccess();
  const first = await access.enroll({ ...access.createEnrolmentToken(), name: 'web-1', machine: MACHINE });
  const second = await access.enroll({ ...access.createEnrolmentToken(), name: 'renamed', machine: MACHINE });
  expect(second?.host).toBe('web-1');
  expect(state.hosts.get('web-1')?.name).toBe('renamed');
  expect(access.authorise({ ...NOBODY, bearer: first?.token ?? '' })).toEqual({ kind: 'anyone' });
  const other = await access.enroll({ ...access.createEnrolmentToken(), name: 'web-1', machine: 'b'.repeat(64) });
  expect(other?.host).toBe('web-1-2');
});

test('createEnrolmentToken() keeps a bounded number', async () => {
  const { access } = openTestAccess();
  const first = access.createEnrolmentToken();
  for (let i = 0; i < 1000; i += 1) access.createEnrolmentToken();
  expect(await access.enroll({ token: first.token, name: 'late', machine: MACHINE })).toBeNull();
});

test.for([
  ['used every day for 29 days', 29, 1, true],
  ['used every day for 31 days', 31, 1, false],
  ['unused for 6 days', 6, 6, true],
  ['unused for 8 days', 8, 8, false],
] as const)('authorise() of a session %s', async ([, days, stepDays, isOpen]) => {
  const { access, clock } = openTestAccess();
  const sessionId = await access.openSession('the-key');
  for (let day = stepDays; day < days; day += stepDays) {
    clock.nowMs += stepDays * 86_400_000;
    access.authorise({ bearer: null, sessionId });
  }
  clock.nowMs += stepDays * 86_400_000 + 1;
  expect(access.authorise({ bearer: null, sessionId }).kind).toBe(isOpen ? 'admin' : 'anyone');
});

test('closeSession() ends a session; a wrong key opens none', async () => {
  const { access } = openTestAccess();
  expect(await access.openSession('guess')).toBeNull();
  const sessionId = await access.openSession('the-key');
  const caller = access.authorise({ bearer: null, sessionId });
  await access.closeSession(caller.kind === 'admin' ? (caller.session ?? '') : '');
  expect(access.authorise({ bearer: null, sessionId })).toEqual({ kind: 'anyone' });
});
