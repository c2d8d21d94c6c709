import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { auditBooks, makeBookkeepingHost } from '../scripts/bookkeeping-host.ts';
import { findServerFault } from '../scripts/clickhouse-server/server.ts';
import { enrolHost } from '../scripts/enrol.ts';
import { startProgram } from '../scripts/program.ts';
import { startCollector } from '../scripts/start-collector.ts';
import { until } from '../scripts/until.ts';
import { openServer } from './store/server.ts';
import { startTestServer, type TestServer } from './test-store.ts';

// A collector as a process of its own, whose server goes away and comes back.

const options = { skip: findServerFault() !== null, timeout: 120_000 };
let directory: string;
let server: TestServer | null = null;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-away-'));
});

afterAll(async () => {
  await server?.stop();
  await rm(directory, { recursive: true });
});

async function start(port = 0): Promise<TestServer> {
  server = await startTestServer(join(directory, 'clickhouse'), port);
  return server;
}

test('a server that is killed again and again costs no sample, and none is there twice', options, async () => {
  const { port, url, address } = await start();
  const lines: string[] = [];
  const collector = await startCollector({
    data: join(directory, 'data'),
    storeUrl: url,
    onLine: (line) => void lines.push(line),
  });
  const hosts = await Promise.all(
    ['a', 'b', 'c'].map(async (name) => {
      const { host, token } = await enrolHost(collector, name);
      return makeBookkeepingHost(collector.origin, host, token);
    }),
  );
  const startMs = Math.floor(Date.now() / 1000) * 1000 - 12 * 3_600_000;
  const statuses = new Set<number | null>();
  let isOver = false;
  const loops = hosts.map(async (host) => {
    for (let tickMs = startMs; !isOver; tickMs += 50_000) {
      // Sent again until it is taken.
      for (let status = null; status !== 200 && !isOver;) statuses.add((status = await host.push(tickMs, 50)));
    }
  });
  const countAcknowledged = (): number => hosts.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
  for (let kill = 0; kill < 3; kill += 1) {
    const before = countAcknowledged();
    await until('a load', () => (countAcknowledged() > before + 500 ? true : null));
    await server?.kill();
    const ask = async (path: string): Promise<number> => {
      const headers = { Authorization: `Bearer ${collector.key}` };
      return (await fetch(`${collector.origin}${path}`, { headers })).status;
    };
    await until('the fault to be known', async () => ((await ask('/readyz')) === 503 ? true : null));
    const range = `from=${startMs}&to=${startMs + 1000}`;
    expect(await ask(`/api/v1/hosts/${hosts[0]?.host}/completeness?${range}`)).toBe(503);
    await start(port);
    await until('recovery', async () => ((await ask('/readyz')) === 200 ? true : null));
  }
  const before = countAcknowledged();
  await until('a load', () => (countAcknowledged() > before + 500 ? true : null));
  isOver = true;
  await Promise.all(loops);
  expect(await collector.stop()).toBe(0);
  expect(statuses).toEqual(new Set([200, 503]));
  const engine = await openServer(address);
  const audit = await auditBooks(engine, hosts, startMs);
  await engine.close();
  expect(audit.acknowledged).toBeGreaterThan(4 * 500);
  expect(audit).toMatchObject({ lost: 0, duplicated: 0, altered: 0 });
  const count = (event: string): number => lines.filter((line) => line.includes(`"event":"${event}"`)).length;
  expect([count('store.failed'), count('store.recovered')]).toEqual([3, 3]);
  expect(lines.join('\n')).not.toContain(address.password);
  expect(lines.join('\n')).not.toContain(encodeURIComponent(address.password));
  await server?.stop();
});

/** A collector that may never be ready. */
function launch(storeUrl: string, name: string) {
  const lines: string[] = [];
  const data = join(directory, name);
  const program = startProgram({
    main: join(import.meta.dirname, 'main.ts'),
    args: ['--port', '0', '--live-port', '0', '--data', data],
    env: { MUSTER_STORE_URL: storeUrl },
    log: (line) => void lines.push(line),
  });
  return { program, lines };
}

test('a collector waits for its server, says so once, and starts when it is there', options, async () => {
  const { port, url } = await start();
  await server?.stop();
  const { program, lines } = launch(url, 'waiting');
  await until('the wait', () => (lines.some((line) => line.includes('store.away')) ? true : null));
  await start(port);
  expect(await program.ready).not.toBe(null);
  expect(lines.filter((line) => line.includes('store.away'))).toHaveLength(1);
  expect(await program.stop()).toBe(0);
  await server?.stop();
});

test('SIGTERM ends a collector at once that waits for its server', options, async () => {
  const { program, lines } = launch('http://127.0.0.1:1/muster', 'ended');
  await until('the wait', () => (lines.some((line) => line.includes('store.away')) ? true : null));
  expect(await program.stop()).toBe(0);
  expect(lines.some((line) => line.includes('collector.stopped'))).toBe(true);
});

test('a wrong password, and a newer schema, end the start with 1 and a sentence', options, async () => {
  const { url, address } = await start();
  const wrong = launch(url.replace(/:[^:@]+@/, ':wrong@'), 'wrong');
  expect(await wrong.program.exited).toBe(1);
  expect(wrong.lines.join('\n')).toContain('refuses the user or the password; correct MUSTER_STORE_URL');
  const engine = await openServer(address);
  await engine.insert('migrations', 1, [{ name: 'number', type: 'UInt32', values: [999] }]);
  await engine.close();
  const newer = launch(url, 'newer');
  expect(await newer.program.exited).toBe(1);
  expect(newer.lines.join('\n')).toContain('its schema is version 999');
  await server?.stop();
});
