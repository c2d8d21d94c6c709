import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { readEnrollReply } from '@muster/proto/push';

import { auditLedger, makeLedgerHost, type LedgerHost } from '../scripts/ledger.ts';
import { startProgram, type Program } from '../scripts/program.ts';
import { mountSmallDisk } from '../scripts/small-disk.ts';
import { until } from '../scripts/until.ts';
import { openEmbedded } from './store/embedded.ts';

// The collector as a process of its own, and the signals that end it.

let directory: string;
const running: Program[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-main-'));
});

afterAll(async () => {
  for (const program of running) program.kill();
  for (const program of running) await program.exited;
  await rm(directory, { recursive: true });
});

async function start(data: string): Promise<{ program: Program; url: URL; lines: string[] }> {
  const lines: string[] = [];
  const program = startProgram({
    name: 'collector',
    main: join(import.meta.dirname, 'main.ts'),
    args: ['--port', '0', '--live-port', '0', '--data', data],
    env: {},
    verbose: false,
    onLine: (line) => void lines.push(line),
  });
  running.push(program);
  const url = await program.ready;
  if (url === null) throw new Error(lines.join(' '));
  return { program, url: new URL(url), lines };
}

async function enroll({ origin, hash }: URL, name: string): Promise<LedgerHost> {
  const headers = { Authorization: `Bearer ${hash.slice('#key='.length)}` };
  const token: unknown = await (await fetch(`${origin}/api/v1/enrolment-tokens`, { method: 'POST', headers })).json();
  const machine = Buffer.from(name).toString('hex').padEnd(64, '0');
  const body = JSON.stringify({ ...Object(token), name, machine });
  const reply = readEnrollReply(await (await fetch(`${origin}/api/v1/enroll`, { method: 'POST', body })).json());
  if (reply === null) throw new Error(`Cannot enrol ${name}`);
  return makeLedgerHost(origin, reply.host, reply.token);
}

test('SIGTERM under load ends with 0, and whatever was acknowledged is there', async () => {
  const data = join(directory, 'load');
  const { program, url, lines } = await start(data);
  const hosts = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => enroll(url, name)));
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
  const audit = await auditLedger(engine, hosts, startMs);
  await engine.close();
  expect(audit.acknowledged).toBeGreaterThan(6 * 100);
  expect(audit).toMatchObject({ lost: 0, duplicated: 0, altered: 0 });
}, 60_000);

test('a second SIGTERM ends at once what still waits for a request', async () => {
  const { program, url, lines } = await start(join(directory, 'second'));
  const slow = connect(Number(url.port), url.hostname);
  slow.on('error', () => undefined);
  slow.write('POST /api/v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{');
  await until('the collector to have taken it', () => (slow.bytesWritten > 0 ? true : null));
  expect((await fetch(`${url.origin}/healthz`)).status).toBe(200);
  program.terminate();
  await until('the first signal', () => (lines.some((line) => line.includes('collector.stopping')) ? true : null));
  program.terminate();
  expect(await program.exited).toBe(1); // 0 if it had waited
  slow.destroy();
}, 60_000);

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

test('a collector to which nobody writes is ready again when its disk is no longer full', async ({ skip }) => {
  const disk = mountSmallDisk(64 * 1024 * 1024);
  if (!disk.ok) {
    process.stderr.write(`Not tried here: ${disk.error}\n`);
    skip(disk.error);
    return;
  }
  try {
    const { program, url } = await start(join(disk.value.directory, 'data'));
    const ask = async (): Promise<number> => (await fetch(`${url.origin}/readyz`)).status;
    expect(await ask()).toBe(200);
    disk.value.fill();
    await expect(enroll(url, 'a')).rejects.toThrow('Cannot enrol a');
    expect(await ask()).toBe(503);
    disk.value.free();
    await until('the collector to be ready', async () => ((await ask()) === 200 ? true : null));
    program.terminate();
    expect(await program.exited).toBe(0);
  } finally {
    disk.value.unmount();
  }
}, 60_000);
