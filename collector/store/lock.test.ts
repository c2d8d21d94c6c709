import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { until } from '../../scripts/until.ts';
import { lockDirectory } from './lock.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-lock-'));
});

afterEach(() => rm(directory, { recursive: true }));

async function lock(): Promise<string> {
  const taken = await lockDirectory(directory);
  return taken.ok ? 'taken' : taken.error;
}

test('lockDirectory() takes a directory once, and again after its release', async () => {
  const first = await lockDirectory(directory);
  expect(await lock()).toBe(
    `Cannot open the data directory ${directory}: process ${process.pid} holds it; stop that one (kill ${process.pid}) or choose another with --data`,
  );
  if (first.ok) await first.value.release();
  expect(await lock()).toBe('taken');
});

test('lockDirectory() makes the directory, for its owner only', async () => {
  directory = join(directory, 'new', 'deep');
  expect(await lock()).toBe('taken');
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
});

const deadPid = spawnSync('true').pid;

test('lockDirectory() takes over the lock of a process that was killed and whose parent has not noticed', async () => {
  // A shell that starts a child, says its id, and becomes a program that never asks how it ended.
  const parent = spawn('bash', ['-c', 'sleep 60 & echo $!; exec sleep 60']);
  const [output] = await once(parent.stdout, 'data');
  const pid = Number(String(output));
  await until('the shell to be gone', async () =>
    (await readFile(`/proc/${parent.pid}/comm`, 'utf8')) === 'sleep\n' ? true : null,
  );
  const started = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')[21];
  process.kill(pid, 'SIGKILL');
  await until('the zombie', async () => (/\) Z /.test(await readFile(`/proc/${pid}/stat`, 'utf8')) ? true : null));
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  await writeFile(join(directory, 'lock'), JSON.stringify({ pid, started: `${started} ${boot}` }));
  expect(await lock()).toBe('taken');
  parent.kill('SIGKILL');
});

test.for([
  ['a process that is gone', JSON.stringify({ pid: deadPid, started: '1 x' })],
  ['a process whose id another one has now', JSON.stringify({ pid: process.pid, started: '1 x' })],
  ['a process that was killed while it wrote', '{"pid":'],
  ['nobody', ''],
  ['something else', '[]'],
] as const)('lockDirectory() takes over the lock of %s', async ([, text]) => {
  await writeFile(join(directory, 'lock'), text);
  expect(await lock()).toBe('taken');
  expect(await readFile(join(directory, 'lock'), 'utf8')).toContain(`"pid":${process.pid}`);
});
