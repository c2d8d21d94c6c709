import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { findHolder, lockState } from './lock.ts';

const ROUNDS = 300;

/** Takes one directory after the other as soon as it is told to, and tells which of them it got. */
const RACER = `
  import { lockState } from ${JSON.stringify(join(import.meta.dirname, 'lock.ts'))};
  process.once('message', (directories) => {
    process.send(directories.map((directory) => {
      try {
        lockState(directory);
        return 1;
      } catch {
        return 0;
      }
    }));
    process.once('disconnect', () => process.exit());
  });
  process.send('ready');
`;

test.for([
  ['nothing', () => undefined],
  ['a lock whose process is gone', (file: string) => writeFileSync(file, '{"pid":1,"started":"1 another-boot"}')],
  ['a lock that a kill has torn', (file: string) => writeFileSync(file, '')],
  ['a directory', (file: string) => mkdirSync(join(file, 'inside'), { recursive: true })],
] as const)(
  'of two that take a state directory at the same moment, where there was %s, one gets it',
  async ([, leave]) => {
    const parent = mkdtempSync(join(tmpdir(), 'muster-lock-'));
    onTestFinished(() => rmSync(parent, { recursive: true }));
    const directories = Array.from({ length: ROUNDS }, (_, i) => join(parent, String(i)));
    for (const directory of directories) {
      mkdirSync(directory);
      leave(join(directory, 'lock'));
    }
    const racer = join(parent, 'racer.mjs');
    writeFileSync(racer, RACER);
    const racers = [fork(racer), fork(racer)];
    await Promise.all(racers.map((one) => once(one, 'message')));
    const answers = Promise.all(racers.map((one) => once(one, 'message')));
    for (const one of racers) one.send(directories);
    const [first, second] = (await answers).map(([got]: number[][]) => got ?? []);
    for (const one of racers) one.disconnect();
    await Promise.all(racers.map((one) => once(one, 'exit')));
    const held = directories.map((_, i) => (first?.[i] ?? 0) + (second?.[i] ?? 0));
    expect(held).toEqual(directories.map(() => 1));
    expect(new Set(directories.flatMap((directory) => readdirSync(directory)))).toEqual(new Set(['lock']));
  },
);

test('findHolder() finds who runs, by whatever id of the boot it was told, and nobody who does not', () => {
  const directory = mkdtempSync(join(tmpdir(), 'muster-lock-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  expect(findHolder(directory)).toBe(null);
  const lock = lockState(directory);
  expect(findHolder(directory)).toBe(process.pid);
  const file = join(directory, 'lock');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(/ [0-9a-f-]{36}/, ' another-boot'));
  expect(findHolder(directory)).toBe(process.pid);
  writeFileSync(file, text.replace(/"started":"/, '"started":"1'));
  expect(findHolder(directory)).toBe(null);
  writeFileSync(file, '{"pid":4194304,"started":"1 another-boot"}');
  expect(findHolder(directory)).toBe(null);
  lock.release();
});

test('a link in the place of what is written first leads nowhere', () => {
  const directory = mkdtempSync(join(tmpdir(), 'muster-lock-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const other = join(directory, 'other');
  writeFileSync(other, 'untouched');
  symlinkSync(other, join(directory, `lock.${process.pid}`));
  lockState(directory).release();
  expect(readFileSync(other, 'utf8')).toBe('untouched');
});
