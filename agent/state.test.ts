import { execFileSync } from 'node:child_process';
import {
  fstatSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  hashMachine,
  makeStateDirectory,
  parseIdentity,
  readIdentity,
  readMachine,
  readNewBoot,
  reserveIdentity,
  writeBoot,
  writeIdentity,
} from './state.ts';

const IDENTITY = { host: 'web-1', token: 'secret' };

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

test('parseIdentity() takes a file of an earlier version, which had the URL too', () => {
  expect(parseIdentity(JSON.stringify({ ...IDENTITY, url: 'http://127.0.0.1:7430' }))).toEqual(IDENTITY);
});

test('what is written is on the disk before it has its name, and its name before writing returns', () => {
  const directory = makeRoot();
  const calls: string[] = [];
  writeIdentity(directory, IDENTITY, {
    fsync: (file) => {
      calls.push(`fsync ${fstatSync(file).isDirectory() ? 'directory' : 'file'}`);
      fsyncSync(file);
    },
    rename: (from, to) => {
      calls.push('rename');
      renameSync(from, to);
    },
  });
  expect(readIdentity(directory)).toEqual(IDENTITY);
  expect(calls).toEqual(['fsync file', 'rename', 'fsync directory']);
});

test('reserveIdentity() takes the room that the identity will have, and says what to do when there is none', () => {
  const directory = makeRoot();
  reserveIdentity(directory);
  const [reserved = ''] = readdirSync(directory);
  const { ino, size } = statSync(join(directory, reserved));
  writeIdentity(directory, IDENTITY);
  expect(readdirSync(directory)).toEqual(['identity.json']);
  expect(statSync(join(directory, 'identity.json'))).toMatchObject({ ino });
  expect(statSync(join(directory, 'identity.json')).size).toBeLessThan(size);
  expect(readIdentity(directory)).toEqual(IDENTITY);
  mkdirSync(join(directory, 'identity.json.tmp'));
  expect(() => reserveIdentity(directory)).toThrow(/make it writable/);
});

test.for([
  ['a file', (path: string) => writeFileSync(path, '')],
  ['a link to nowhere', (path: string) => symlinkSync('nowhere', path)],
  ['in a file', (path: string) => writeFileSync(path, ''), 'state'],
  ['in /proc, where the kernel knows no such name', () => undefined, '/proc/muster/state'],
] as const)('makeStateDirectory() throws and says what to do: %s', ([, leave, below = '']) => {
  const path = join(makeRoot(), 'state');
  leave(path);
  expect(() => makeStateDirectory(resolve(path, below))).toThrow(/^Cannot use the state directory .* by --state$/);
});

test('a pipe in the place of a file is not waited for', () => {
  const directory = makeRoot();
  for (const name of ['identity.json', 'identity.json.tmp', 'machine-id', 'boot-id'])
    execFileSync('mkfifo', [join(directory, name)]);
  expect(() => readIdentity(directory)).toThrow(/remove it to enrol again/);
  expect(() => reserveIdentity(directory)).toThrow(/make it writable/);
  expect(readMachine(directory, directory)).toMatch(/^[0-9a-f]{64}$/);
  expect(readNewBoot('/', directory)).toMatchObject({ known: null });
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

test('readNewBoot() gives each boot once, with the one that was kept before', () => {
  const root = makeRoot();
  const random = join(root, 'proc/sys/kernel/random');
  mkdirSync(random, { recursive: true });
  const answers = ['one', 'one', 'two', 'two', ''].map((bootId) => {
    writeFileSync(join(random, 'boot_id'), `${bootId}\n`);
    const boot = readNewBoot(root, root);
    if (boot !== null) writeBoot(root, boot);
    return boot?.known;
  });
  expect(answers).toEqual([null, undefined, 'one', undefined, undefined]);
});
