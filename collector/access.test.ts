import { expect, test } from 'vitest';

import { makeAuthorise } from './access.ts';
import { chooseHost, makeEnrolment } from './enrolment.ts';
import { makeSessions } from './sessions.ts';
import type { State, StateTable } from './store/state.ts';

/** The contract of a state table, kept in memory: what access decides does not depend on the store. */
function makeTable<T>(key: keyof T): StateTable<T> {
  const rows = new Map<string, T>();
  return {
    get: (name) => rows.get(name),
    all: () => rows.values(),
    async put(row) {
      await Promise.resolve(); // not at once, as the store
      rows.set(String(row[key]), row);
    },
    async change(name, step) {
      await Promise.resolve();
      const row = rows.get(name);
      if (row !== undefined) rows.set(name, step(row));
    },
    remove: async (name) => void rows.delete(name),
  };
}

function openTestAccess() {
  const clock = { nowMs: 1_000_000 };
  const state: State = { hosts: makeTable('host'), hostTokens: makeTable('hash'), sessions: makeTable('hash') };
  const now = (): number => clock.nowMs;
  const sessions = makeSessions(state.sessions, now);
  const enrolment = makeEnrolment({ state, onHost: () => undefined, now });
  return { ...enrolment, sessions, authorise: makeAuthorise('the-key', state.hostTokens, sessions), clock, state };
}

/** Lets a write end that nobody waits for. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

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
  const access = openTestAccess();
  expect(access.authorise({ ...NOBODY, bearer: 'the-key' })).toEqual({ kind: 'admin', session: null });
  for (const bearer of ['', 'the-key ', 'the-ke', 'x'.repeat(10_000)]) {
    expect(access.authorise({ ...NOBODY, bearer })).toEqual({ kind: 'anyone' });
  }
  expect(access.authorise({ ...NOBODY, sessionId: 'the-key' })).toEqual({ kind: 'anyone' });
});

test('enroll() gives a token that names the host, to one machine per enrolment token', async () => {
  const access = openTestAccess();
  const { token } = access.createToken();
  const reply = await access.enroll({ token, name: 'web-1', machine: MACHINE });
  expect(reply?.host).toBe('web-1');
  expect(access.authorise({ ...NOBODY, bearer: reply?.token ?? '' })).toEqual({ kind: 'host', host: 'web-1' });
  expect(await access.enroll({ token, name: 'web-2', machine: 'b'.repeat(64) })).toBeNull();
  // The same machine again, because the first answer was lost: the token it did not get ends.
  const again = await access.enroll({ token, name: 'web-1', machine: MACHINE });
  expect(again?.host).toBe('web-1');
  expect(access.authorise({ ...NOBODY, bearer: reply?.token ?? '' })).toEqual({ kind: 'anyone' });
});

test('enroll() of two hosts of one name at once gives them two ids; of one token twice at once, one', async () => {
  const access = openTestAccess();
  const [first, second] = await Promise.all(
    ['a', 'b'].map((letter) => access.enroll({ ...access.createToken(), name: 'web-1', machine: letter.repeat(64) })),
  );
  expect([first?.host, second?.host]).toEqual(['web-1', 'web-1-2']);
  const { token } = access.createToken();
  const replies = await Promise.all(
    ['c', 'd'].map((letter) => access.enroll({ token, name: 'web-1', machine: letter.repeat(64) })),
  );
  expect(replies.map((reply) => reply?.host ?? null)).toEqual(['web-1-3', null]);
});

test('enroll() keeps its token when the store fails, so that the host can try again', async () => {
  const access = openTestAccess();
  const { state } = access;
  const { token } = access.createToken();
  const hosts = { ...state.hosts };
  Object.assign(state.hosts, { put: () => Promise.reject(new Error('disk full')) });
  await expect(access.enroll({ token, name: 'web-1', machine: MACHINE })).rejects.toThrow('disk full');
  Object.assign(state.hosts, hosts);
  expect((await access.enroll({ token, name: 'web-1', machine: MACHINE }))?.host).toBe('web-1');
});

test('open() clears away sessions that are over', async () => {
  const access = openTestAccess();
  const { clock, state } = access;
  await access.sessions.open();
  clock.nowMs += 31 * 86_400_000;
  await access.sessions.open();
  expect([...state.sessions.all()].length).toBe(1);
});

test('enroll() refuses an expired token', async () => {
  const access = openTestAccess();
  const { clock } = access;
  const { token, expiresMs } = access.createToken();
  clock.nowMs = expiresMs + 1;
  expect(await access.enroll({ token, name: 'web-1', machine: MACHINE })).toBeNull();
});

test('enroll() of the same machine keeps the host, ends the old token and takes the new name', async () => {
  const access = openTestAccess();
  const { state } = access;
  const first = await access.enroll({ ...access.createToken(), name: 'web-1', machine: MACHINE });
  const second = await access.enroll({ ...access.createToken(), name: 'renamed', machine: MACHINE });
  expect(second?.host).toBe('web-1');
  expect(state.hosts.get('web-1')?.name).toBe('renamed');
  expect(access.authorise({ ...NOBODY, bearer: first?.token ?? '' })).toEqual({ kind: 'anyone' });
  const other = await access.enroll({ ...access.createToken(), name: 'web-1', machine: 'b'.repeat(64) });
  expect(other?.host).toBe('web-1-2');
});

test('createEnrolmentToken() keeps a bounded number', async () => {
  const access = openTestAccess();
  const first = access.createToken();
  for (let i = 0; i < 1000; i += 1) access.createToken();
  expect(await access.enroll({ token: first.token, name: 'late', machine: MACHINE })).toBeNull();
});

test.for([
  ['used every day for 29 days', 29, 1, true],
  ['used every day for 31 days', 31, 1, false],
  ['unused for 6 days', 6, 6, true],
  ['unused for 8 days', 8, 8, false],
] as const)('authorise() of a session %s', async ([, days, stepDays, isOpen]) => {
  const access = openTestAccess();
  const { clock } = access;
  const sessionId = await access.sessions.open();
  for (let day = stepDays; day < days; day += stepDays) {
    clock.nowMs += stepDays * 86_400_000;
    access.authorise({ bearer: null, sessionId });
    await settle();
  }
  clock.nowMs += stepDays * 86_400_000 + 1;
  expect(access.authorise({ bearer: null, sessionId }).kind).toBe(isOpen ? 'admin' : 'anyone');
});

test('close() ends a session', async () => {
  const access = openTestAccess();
  const sessionId = await access.sessions.open();
  const caller = access.authorise({ bearer: null, sessionId });
  await access.sessions.close(caller.kind === 'admin' ? (caller.session ?? '') : '');
  expect(access.authorise({ bearer: null, sessionId })).toEqual({ kind: 'anyone' });
});
