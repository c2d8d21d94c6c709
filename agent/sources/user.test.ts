import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makeRoot } from '../testing/fixture.ts';
import { countRecords, countUsers, isUserSession } from './user.ts';

/** A record of utmp of one type, after struct utmp of utmp(5) on a 64-bit machine. */
function makeRecord(type: number): Buffer {
  const record = Buffer.alloc(384);
  record.writeInt16LE(type, 0);
  record.write('someone', 44);
  return record;
}

const SESSION = (lines: string) => `# This is private data. Do not parse.\nUID=1000\nUSER=someone\n${lines}`;

test.for([
  ['CLASS=user\nSTATE=active\n', true],
  ['CLASS=user\nSTATE=online\n', true],
  ['CLASS=user-early\nSTATE=active\n', true],
  ['CLASS=user\nSTATE=closing\n', false],
  ['CLASS=greeter\nSTATE=active\n', false],
  ['CLASS=manager\nSTATE=active\n', false],
  ['', false],
] as const)('a session with %o is one of a person: %s', ([lines, expected]) => {
  expect(isUserSession(SESSION(lines))).toBe(expected);
});

test('countUsers() asks logind first, then utmp', () => {
  const session = SESSION('CLASS=user\nSTATE=active\n');
  const sessions = { 'run/systemd/sessions/1': session, 'run/systemd/sessions/c2': session };
  const root = makeRoot({ ...sessions, 'run/systemd/sessions/3.ref': session });
  const old = makeRoot({ 'run/utmp': '' });
  writeFileSync(join(root, 'run/utmp'), makeRecord(7));
  writeFileSync(join(old, 'run/utmp'), Buffer.concat([makeRecord(2), makeRecord(7), makeRecord(8), makeRecord(7)]));
  expect(countUsers(root)).toEqual({ ok: true, value: 2 });
  expect(countUsers(old)).toEqual({ ok: true, value: 2 });
});

test('countUsers() of a machine that nobody keeps sessions on says so', () => {
  expect(countUsers(makeRoot({})).ok).toBe(false);
});

test('countRecords() takes whole records only, and never throws', () => {
  expect(countRecords(Buffer.concat([makeRecord(7), makeRecord(7).subarray(0, 383)]))).toBe(1);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => void countRecords(Buffer.from(bytes))));
});
