import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { makeAuthorise, readAccessKey } from './access.ts';
import { hashSecret } from './secret.ts';
import { makeSessions } from './sessions.ts';
import type { HostToken } from './store/state.ts';
import { makeTestState } from './test-state.ts';

function openTestAccess() {
  const clock = { nowMs: 1_000_000 };
  const state = makeTestState();
  const sessions = makeSessions(state.sessions, () => clock.nowMs);
  const replacedUsed: string[] = [];
  const authorise = makeAuthorise({
    accessKey: 'the-key',
    hostTokens: state.hostTokens,
    sessions,
    onReplacedUsed: ({ host }) => replacedUsed.push(host),
  });
  return { sessions, authorise, replacedUsed, clock, state };
}

/** Lets a write end that nobody waits for. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const NOBODY = { bearer: null, sessionId: null };

test('authorise() knows the access key, and nobody by anything else', () => {
  const access = openTestAccess();
  expect(access.authorise({ ...NOBODY, bearer: 'the-key' })).toEqual({ kind: 'admin', session: null });
  for (const bearer of ['', 'the-key ', 'the-ke', 'x'.repeat(10_000)]) {
    expect(access.authorise({ ...NOBODY, bearer })).toEqual({ kind: 'anyone' });
  }
  expect(access.authorise({ ...NOBODY, sessionId: 'the-key' })).toEqual({ kind: 'anyone' });
});

test.for([
  ['live', { kind: 'host', host: 'web-1', token: hashSecret('secret') }, 0],
  ['quarantined', { kind: 'anyone', ended: 'quarantined' }, 0],
  ['revoked', { kind: 'anyone', ended: 'revoked' }, 0],
  ['replaced', { kind: 'anyone', ended: 'replaced' }, 1],
] as const)('authorise() of a %s token says so; of a replaced one it tells once', async ([state, caller, told]) => {
  const access = openTestAccess();
  const token: HostToken = { hash: hashSecret('secret'), host: 'web-1', createdMs: 1, state, sinceMs: 1 };
  await access.state.hostTokens.put(token);
  for (let i = 0; i < 3; i += 1) expect(access.authorise({ ...NOBODY, bearer: 'secret' })).toEqual(caller);
  expect(access.replacedUsed.length).toBe(told);
});

test('open() clears away sessions that are over', async () => {
  const access = openTestAccess();
  const { clock, state } = access;
  await access.sessions.open();
  clock.nowMs += 31 * 86_400_000;
  await access.sessions.open();
  expect([...state.sessions.all()].length).toBe(1);
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

test('readAccessKey() makes a key although an earlier start could not write one, and gives the same again', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'muster-access-'));
  const start = `import { readAccessKey } from ${JSON.stringify(join(import.meta.dirname, 'access.ts'))};
    await readAccessKey(${JSON.stringify(directory)});`;
  // No byte may be written to any file, as on a full disk.
  const limited = ['-c', 'ulimit -f 0; exec "$0" "$@"', process.execPath, '--input-type=module', '-e', start];
  expect(spawnSync('sh', limited).stderr.toString()).toContain('EFBIG');
  const key = await readAccessKey(directory);
  expect([key.length, await readAccessKey(directory)]).toEqual([43, key]);
  expect((await stat(join(directory, 'access-key'))).mode & 0o777).toBe(0o600);
  expect(await readdir(directory)).toEqual(['access-key']);
  await rm(directory, { recursive: true });
});

test('close() ends a session', async () => {
  const access = openTestAccess();
  const sessionId = await access.sessions.open();
  const caller = access.authorise({ bearer: null, sessionId });
  await access.sessions.close(caller.kind === 'admin' ? (caller.session ?? '') : '');
  expect(access.authorise({ bearer: null, sessionId })).toEqual({ kind: 'anyone' });
});
