import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { auditBooks, makeBookkeepingHost, type BookkeepingHost } from '../scripts/bookkeeping-host.ts';
import { enrolHost } from '../scripts/enrol.ts';
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

test('a second SIGTERM ends at once what still waits for a request', async () => {
  const { program, lines } = await start(join(directory, 'second'));
  const slow = connect(program.port, '127.0.0.1');
  slow.on('error', () => undefined);
  slow.write('POST /api/v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{');
  await until('the collector to have taken it', () => (slow.bytesWritten > 0 ? true : null));
  expect((await fetch(`${program.origin}/healthz`)).status).toBe(200);
  program.terminate();
  await until('the first signal', () => (lines.some((line) => line.includes('collector.stopping')) ? true : null));
  program.terminate();
  expect(await program.exited).toBe(1); // 0 if it had waited
  slow.destroy();
}, 60_000);
