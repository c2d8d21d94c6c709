import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { auditBooks, makeBookkeepingHost, type BookkeepingHost } from '../scripts/bookkeeping-host.ts';
import { enrolHost } from '../scripts/enrol.ts';
import { findMountFault, mountSmallDisk } from '../scripts/small-disk.ts';
import { startCollector, type RunningCollector } from '../scripts/start-collector.ts';
import { until } from '../scripts/until.ts';
import { openEmbedded } from './store/embedded.ts';

// The collector as a process of its own, and the signals that end it.

let directory: string;
const running: RunningCollector[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-main-'));
});

afterAll(async () => {
  for (const program of running) program.kill();
  for (const program of running) await program.exited;
  await rm(directory, { recursive: true });
});

async function start(data: string): Promise<{ program: RunningCollector; lines: string[] }> {
  const lines: string[] = [];
  const program = await startCollector({ data, onLine: (line) => void lines.push(line) });
  running.push(program);
  return { program, lines };
}

async function enroll(collector: RunningCollector, name: string): Promise<BookkeepingHost> {
  const { host, token } = await enrolHost(collector, name);
  return makeBookkeepingHost(collector.origin, host, token);
}

test('SIGTERM under load ends with 0, and whatever was acknowledged is there', async () => {
  const data = join(directory, 'load');
  const { program, lines } = await start(data);
  const hosts = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => enroll(program, name)));
  const startMs = Math.floor(Date.now() / 1000) * 1000 - 12 * 3_600_000;
  const loops = hosts.map(async (host) => {
    // Until there is nobody any more to push to.
    for (let tickMs = startMs; (await host.push(tickMs, 50)) !== null; tickMs += 50_000);
  });
  await until('a load', () => (hosts.every(({ acknowledged }) => acknowledged.size > 100) ? true : null));
  program.terminate();
  expect(await program.exited).toBe(0);
  await Promise.all(loops);
  expect(lines.some((line) => line.includes('"level":"ERROR"'))).toBe(false);
  const engine = await openEmbedded(data);
  const audit = await auditBooks(engine, hosts, startMs);
  await engine.close();
  expect(audit.acknowledged).toBeGreaterThan(6 * 100);
  expect(audit).toMatchObject({ lost: 0, duplicated: 0, altered: 0 });
}, 60_000);

/** A collector that has acknowledged one batch, whose engine hangs in an insert, and that was asked to stop. */
async function startHanging(data: string) {
  const started = await start(data);
  const host = await enroll(started.program, 'a');
  const tickMs = Math.floor(Date.now() / 1000) * 1000 - 60_000;
  expect(await host.push(tickMs, 1)).not.toBe(null);
  // What is written to the file of blocks goes to where it was; the engine opens it anew, and waits for somebody to write.
  const path = join(data, 'incoming', 'block.native');
  rmSync(path);
  execFileSync('mkfifo', [path]);
  const hanging = enroll(started.program, 'b').catch(() => null);
  const pipe = await until('a reader', () => openWriter(path));
  started.program.terminate();
  await until('a stop', () => (started.lines.some((line) => line.includes('collector.stopping')) ? true : null));
  return { ...started, hanging, end: () => closeSync(pipe) };
}

/** null while nobody reads. */
function openWriter(path: string): number | null {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return null; // ENXIO
  }
}

test('SIGTERM ends within 10 s a collector that hangs in its store, and says so', async () => {
  const data = join(directory, 'hanging');
  const { program, lines, hanging, end } = await startHanging(data);
  expect(await program.exited).toBe(null); // a signal that nothing holds up; 0 if it had waited
  expect(lines.some((line) => /"level":"ERROR","event":"collector.stop-failed".*within 9 s/.test(line))).toBe(true);
  expect(await hanging).toBe(null);
  end();
  const engine = await openEmbedded(data);
  expect(await engine.query('SELECT count() AS batches FROM muster.arrived_batches')).toEqual([{ batches: 1 }]);
  await engine.close();
}, 60_000);

test('a second SIGTERM ends at once a collector that hangs in its store', async () => {
  const { program, lines, hanging, end } = await startHanging(join(directory, 'second'));
  program.terminate();
  expect(await program.exited).toBe(null);
  expect(lines.some((line) => line.includes('collector.stop-failed'))).toBe(false); // not for having waited too long
  expect(await hanging).toBe(null);
  end();
}, 60_000);

test('a collector on a directory whose lock another does not see is refused, and takes nothing from it', async () => {
  const data = join(directory, 'twice');
  const { program } = await start(data);
  await rm(join(data, 'lock')); // two containers do not see each other's processes
  await writeFile(join(data, 'incoming', 'block'), 'of the first');
  await expect(start(data)).rejects.toThrow('already running');
  expect(await readdir(join(data, 'incoming'))).toEqual([
    'block',
    'block.native',
    'journal-0.native',
    'journal-1.native',
  ]);
  program.terminate();
  expect(await program.exited).toBe(0);
}, 60_000);

test('a collector that cannot make its directory ends with 1 and a sentence', async () => {
  const main = join(import.meta.dirname, 'main.ts');
  const child = spawn(process.execPath, [main, '--data', '/proc/nope'], { timeout: 20_000, killSignal: 'SIGKILL' });
  const said = text(child.stderr);
  expect(await once(child, 'exit')).toEqual([1, null]);
  expect(await said).toBe(
    'Cannot use the data directory /proc/nope: /proc/nope cannot be made, or is a symbolic link to nothing; choose another with --data\n',
  );
});

test.for(['SIGSEGV', 'SIGABRT'] as const)('%s ends a collector, which does not hang in its fault', async (signal) => {
  const { program } = await start(join(directory, signal));
  process.kill(program.pid, signal);
  expect(await program.exited).toBe(null);
});

test('a log that cannot be written does not end the collector, whose pool has the threads that it needs', async () => {
  const full = await open('/dev/full', 'w');
  const main = join(import.meta.dirname, 'main.ts');
  const args = [main, '--port', '0', '--live-port', '0', '--data', join(directory, 'unlogged')];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', full.fd, 'ipc'] });
  const exited = new Promise((resolve) => {
    child.once('exit', resolve);
  });
  const ready = await new Promise<unknown>((resolve) => {
    child.once('message', resolve);
  });
  const { origin } = new URL(String(Object(ready)['url']));
  expect((await fetch(`${origin}/healthz`)).status).toBe(200);
  const tasks = `/proc/${child.pid}/task`;
  const names = readdirSync(tasks).map((task) => readFileSync(join(tasks, task, 'comm'), 'utf8').trim());
  expect(names.filter((name) => name === 'libuv-worker')).toHaveLength(16);
  child.kill('SIGTERM');
  expect(await exited).toBe(0);
  await full.close();
}, 60_000);

const options = { skip: findMountFault() !== null, timeout: 60_000 };
test('a collector to which nobody writes is ready again when its disk is no longer full', options, async () => {
  const disk = mountSmallDisk(64 * 1024 * 1024);
  try {
    const { program } = await start(join(disk.directory, 'data'));
    const ask = async (): Promise<number> => (await fetch(`${program.origin}/readyz`)).status;
    expect(await ask()).toBe(200);
    disk.fill();
    await expect(enroll(program, 'a')).rejects.toThrow('503');
    expect(await ask()).toBe(503);
    disk.free();
    await until('the collector to be ready', async () => ((await ask()) === 200 ? true : null));
    program.terminate();
    expect(await program.exited).toBe(0);
  } finally {
    disk.unmount();
  }
});
