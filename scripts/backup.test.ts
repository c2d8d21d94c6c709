import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

test('a running collector is backed up, verified beside it, and restored elsewhere with all it had acknowledged', async () => {
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
});

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
