import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { findMountFault, mountSmallDisk } from '../../scripts/small-disk.ts';
import { until } from '../../scripts/until.ts';
import { BACKUP_FOLDER } from './data-fault.ts';
import { lockDirectory } from './lock.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-lock-'));
});

afterEach(() => rm(directory, { recursive: true }));

async function lock(data = directory): Promise<string> {
  const taken = await lockDirectory(data);
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

test('lockDirectory() speaks of what it is a lock of', async () => {
  const first = await lockDirectory(directory, BACKUP_FOLDER);
  expect(await lockDirectory(directory, BACKUP_FOLDER)).toMatchObject({
    error: `Cannot open the folder of backups ${directory}: process ${process.pid} holds it; wait until it has done its work there or choose another with --backup-to`,
  });
  if (first.ok) await first.value.release();
  expect(await lockDirectory('/proc/nope', BACKUP_FOLDER)).toMatchObject({
    error:
      'Cannot use the folder of backups /proc/nope: /proc/nope cannot be made, or is a symbolic link to nothing; choose another with --backup-to',
  });
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

test.for([
  ['/proc/nope cannot be made, or is a symbolic link to nothing', '/proc/nope'],
  ['/proc/nope cannot be made, or is a symbolic link to nothing', '/proc/nope/below'],
  ['nothing cannot be made, or is a symbolic link to nothing', 'nothing'],
  ['nothing cannot be made, or is a symbolic link to nothing', 'nothing/below'],
  ['loop is a symbolic link that leads back to itself', 'loop'],
  ['file is no directory, or something above it is none', 'file'],
  ['below is no directory, or something above it is none', 'file/below'],
  ['characters, is too long', 'a'.repeat(5000)],
  ['characters, is too long', 'a/'.repeat(2500)],
] as const)('lockDirectory() says that %s, and what to do', async ([said, path]) => {
  await symlink('nowhere', join(directory, 'nothing'));
  await symlink('loop', join(directory, 'loop'));
  await writeFile(join(directory, 'file'), '');
  const data = resolve(directory, path);
  const sentence = await lock(data);
  expect(sentence.startsWith(`Cannot use the data directory ${data.slice(0, 200)}`)).toBe(true);
  expect(sentence.endsWith(`${said}; choose another with --data`)).toBe(true);
  expect(sentence.length).toBeLessThan(600);
});

test('lockDirectory() takes a relative path, and a symbolic link to a directory', async () => {
  expect(await lock(relative(process.cwd(), join(directory, 'relative')))).toBe('taken');
  await symlink('relative', join(directory, 'link'));
  expect(await lock(join(directory, 'link'))).toMatch(/process \d+ holds it/);
  expect(await lock(join(directory, 'link', 'below'))).toBe('taken');
});

test('lockDirectory() says so where this user may not write', async () => {
  await chmod(directory, 0o500);
  const data = join(directory, 'data');
  const isRoot = process.geteuid?.() === 0; // whom no mode stops
  if (isRoot) process.seteuid?.(65_534);
  const user = process.geteuid?.();
  const said = await lock(data).finally(() => isRoot && process.seteuid?.(0));
  await chmod(directory, 0o700);
  expect(said).toBe(
    `Cannot use the data directory ${data}: user ${user} may not write ${data}; give it to that user (chown -R), or choose another with --data`,
  );
});

test('lockDirectory() says so where the file system is read-only', { skip: findMountFault() !== null }, async () => {
  const disk = mountSmallDisk(4096);
  disk.setWritable(false);
  const data = join(disk.directory, 'data');
  const said = await lock(data);
  disk.unmount();
  expect(said).toBe(
    `Cannot use the data directory ${data}: its file system is read-only; mount it writable, or choose another with --data`,
  );
});

test('of several that start at once on a lock that was left behind, one takes it', async () => {
  const program = `import { lockDirectory } from ${JSON.stringify(join(import.meta.dirname, 'lock.ts'))};
    process.stdin.once('data', async () => {
      console.log((await lockDirectory(process.argv[1])).ok);
      process.stdin.once('data', () => process.exit(0));
    });
    console.log('ready');`;
  for (let round = 0; round < 3; round += 1) {
    await writeFile(join(directory, 'lock'), JSON.stringify({ pid: deadPid, started: '1 x' }));
    const starters = Array.from({ length: 6 }, () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', program, directory], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
    });
    for (const { lines } of starters) expect((await lines.next()).value).toBe('ready');
    for (const { child } of starters) child.stdin.write('go');
    const taken = await Promise.all(starters.map(async ({ lines }) => (await lines.next()).value === 'true'));
    expect(taken.filter(Boolean).length).toBe(1);
    await Promise.all(
      starters.map(async ({ child }) => {
        child.stdin.end('end');
        await once(child, 'exit');
      }),
    );
  }
  expect((await readdir(directory)).filter((name) => name !== 'lock')).toEqual([]);
});
