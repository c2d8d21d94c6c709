import { mkdirSync, mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  hashMachine,
  makeStateDirectory,
  noticeBoot,
  parseIdentity,
  readIdentity,
  readMachine,
  writeIdentity,
} from './state.ts';

const IDENTITY = { host: 'web-1', token: 'secret', url: 'http://127.0.0.1:7430' };

function makeRoot(): string {
  return mkdtempSync(join(tmpdir(), 'muster-'));
}

test('an identity is kept for this user only, and read back', () => {
  const directory = join(makeRoot(), 'state');
  makeStateDirectory(directory);
  expect(readIdentity(directory)).toBe(null);
  writeIdentity(directory, IDENTITY);
  expect(readIdentity(directory)).toEqual(IDENTITY);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  expect(statSync(join(directory, 'identity.json')).mode & 0o777).toBe(0o600);
});

test('readIdentity() throws for a damaged file, and says what to do', () => {
  const directory = makeRoot();
  writeFileSync(join(directory, 'identity.json'), '{"host":');
  expect(() => readIdentity(directory)).toThrow(/remove it to enrol again/);
});

test('parseIdentity() never throws', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseIdentity(text)));
});

test('readMachine() hashes the id of the machine, and makes one where there is none', () => {
  const root = makeRoot();
  const made = readMachine(root, root);
  expect(made).toMatch(/^[0-9a-f]{64}$/);
  expect(readMachine(root, root)).toBe(made);
  mkdirSync(join(root, 'etc'));
  writeFileSync(join(root, 'etc/machine-id'), 'uninitialized\n');
  expect(readMachine(root, root)).toBe(made);
  const id = '0123456789abcdef0123456789abcdef';
  writeFileSync(join(root, 'etc/machine-id'), `${id}\n`);
  expect(readMachine(root, root)).toBe(hashMachine(id));
});

test('noticeBoot() is true once after each boot but the first that it sees', () => {
  const root = makeRoot();
  const random = join(root, 'proc/sys/kernel/random');
  mkdirSync(random, { recursive: true });
  const answers = ['one', 'one', 'two', 'two', ''].map((bootId) => {
    writeFileSync(join(random, 'boot_id'), `${bootId}\n`);
    return noticeBoot(root, root);
  });
  expect(answers).toEqual([false, false, true, false, false]);
});
