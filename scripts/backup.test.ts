import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { auditBooks, makeBookkeepingHost } from './bookkeeping-host.ts';
import { openEmbedded } from '../collector/store/embedded.ts';
import { enrolHost } from './enrol.ts';
import { startCollector, type RunningCollector } from './start-collector.ts';

let directory: string;
let collector: RunningCollector | null = null;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-backup-program-'));
});

afterAll(async () => {
  collector?.kill();
  await collector?.exited;
  await rm(directory, { recursive: true });
});

type Said = { readonly stdout: string; readonly stderr: string; readonly code: number };

async function run(...args: readonly string[]): Promise<Said> {
  const file = join(import.meta.dirname, 'backup.ts');
  return promisify(execFile)(process.execPath, [file, ...args]).then(
    ({ stdout, stderr }) => ({ stdout, stderr, code: 0 }),
    (error: { stdout: string; stderr: string; code: number }) => error,
  );
}

test(
  'a running collector is backed up, verified beside it, and restored elsewhere with all it had acknowledged',
  { timeout: 120_000 },
  async () => {
    const data = join(directory, 'data');
    collector = await startCollector({ data });
    const { host, token } = await enrolHost(collector, 'a');
    const books = makeBookkeepingHost(collector.origin, host, token);
    const startMs = Math.floor(Date.now() / 1000) * 1000 - 3_600_000;
    for (let i = 0; i < 20; i += 1) await books.push(startMs + i * 50_000, 50);
    const url = ['--url', collector.origin, '--data', data];
    expect(await run('create', ...url)).toMatchObject({ code: 0 });
    await books.push(startMs + 20 * 50_000, 50);
    const made = await run('create', '--json', ...url);
    expect(made).toMatchObject({ code: 0 });
    const { name, parent } = JSON.parse(made.stdout) as { name: string; parent: string };
    expect((await run('create', ...url, '--backup-to', join(directory, 'elsewhere'))).stderr).toContain(
      'leave --backup-to out',
    );
    expect(await run('verify', '--all', '--data', data)).toMatchObject({ code: 0 });
    const list = JSON.parse((await run('list', '--json', '--data', data)).stdout) as {
      backups: readonly { name: string; verifiedMs: number | null }[];
    };
    expect(list.backups.map((backup) => backup.name)).toEqual([parent, name]);
    expect(list.backups.every(({ verifiedMs }) => verifiedMs !== null)).toBe(true);
    const backups = join(data, 'backups');
    expect((await run('restore', name, '--data', data, '--replace')).stderr).toContain('holds it; stop that one');
    expect(await collector.stop()).toBe(0);
    const restored = join(directory, 'restored');
    expect(await run('restore', name, '--data', restored, '--backup-to', backups)).toMatchObject({ code: 0 });
    expect((await readdir(restored)).toSorted()).toEqual(['clickhouse']);
    const again = await startCollector({ data: restored });
    expect(await again.stop()).toBe(0);
    const engine = await openEmbedded(restored);
    const audit = await auditBooks(engine, [books], startMs);
    await engine.close();
    expect(audit).toMatchObject({ lost: 0, duplicated: 0 });
    // Where nobody holds the store, it is opened for the while.
    expect(
      await run('create', '--full', '--data', restored, '--backup-to', join(directory, 'of-restored')),
    ).toMatchObject({
      code: 0,
    });
  },
);

test.for([
  [[], 'needs a command'],
  [['backup'], 'knows no backup'],
  [['list', '--colour'], '--colour is not an option'],
  [['restore', '../../etc'], 'is no name of a backup'],
  [['verify'], 'say the name of a backup'],
] as const)('backup %o is wrongly asked', async ([args, fault]) => {
  const said = await run(...args);
  expect(said.code).toBe(2);
  expect(said.stderr).toContain(fault);
});

test('a backup that is not there is not restored', async () => {
  const said = await run('restore', '20260101T000000Z', '--data', join(directory, 'nothing'));
  expect(said.code).toBe(1);
  expect(said.stderr).toContain('There is no backup 20260101T000000Z');
});

/** Starts the program and kills it as soon as it has said something, or a folder holds a name. */
async function killAt(
  sign: { readonly said?: string; readonly folder?: string; readonly name?: RegExp },
  ...args: readonly string[]
) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'backup.ts'), ...args]);
  const { said, folder = '', name } = sign;
  if (said !== undefined)
    createInterface(child.stderr).on('line', (line) => void (line.includes(said) && child.kill('SIGKILL')));
  const look = (): void => {
    if (name !== undefined && existsSync(folder) && readdirSync(folder).some((one) => name.test(one)))
      child.kill('SIGKILL');
  };
  const looking = setInterval(look, 1);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  clearInterval(looking);
  expect({ code, signal }).toEqual({ code: null, signal: 'SIGKILL' });
}

test(
  'killed at any step, create leaves no backup, and restore no store; the next one does it',
  { timeout: 120_000 },
  async () => {
    const data = join(directory, 'killed');
    const started = await startCollector({ data });
    const { host, token } = await enrolHost(started, 'b');
    const books = makeBookkeepingHost(started.origin, host, token);
    const startMs = Math.floor(Date.now() / 1000) * 1000 - 3_600_000;
    await books.push(startMs, 50);
    expect(await started.stop()).toBe(0);
    const backups = join(data, 'backups');
    for (const sign of [{ said: 'reading' }, { folder: backups, name: /partial$/ }]) {
      await killAt(sign, 'create', '--data', data);
      expect((await run('list', '--data', data)).stdout).toContain('No backups');
    }
    expect(await run('create', '--data', data)).toMatchObject({ code: 0 });
    expect((await readdir(backups)).map((name) => name.replace(/^\d.*Z$/, 'a backup'))).toEqual(['a backup']);
    const { backups: made } = JSON.parse((await run('list', '--json', '--data', data)).stdout) as {
      backups: readonly { name: string }[];
    };
    const name = made[0]?.name ?? '';
    const restored = join(directory, 'killed-restored');
    for (const said of ['restoring', 'comparing']) {
      await killAt({ said }, 'restore', name, '--data', restored, '--backup-to', backups);
      await expect(startCollector({ data: restored, onLine: () => undefined })).rejects.toThrow(
        'a restore to it was not finished',
      );
    }
    expect(await run('restore', name, '--data', restored, '--backup-to', backups)).toMatchObject({ code: 0 });
    const engine = await openEmbedded(restored);
    const audit = await auditBooks(engine, [books], startMs);
    await engine.close();
    expect(audit).toMatchObject({ acknowledged: 200, lost: 0, duplicated: 0 });
  },
);
