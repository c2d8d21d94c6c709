import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { auditBooks, makeBookkeepingHost, type BookkeepingHost } from '../scripts/bookkeeping-host.ts';
import { findFreePort, findServerFault } from '../scripts/clickhouse-server/server.ts';
import { enrolHost } from '../scripts/enrol.ts';
import { startProgram, type Program } from '../scripts/program.ts';
import { until } from '../scripts/until.ts';
import { openServer } from './store/server.ts';
import { startTestServer, type TestServer } from './test-store.ts';

// Two collectors on one database, each a process with a data directory of its own, as on two machines.

const skip = findServerFault() !== null;
/** One that says nothing any more is taken for dead after 30 s. */
const LAPSED = { timeout: 90_000, interval: 100 };
const SOON = { timeout: 20_000, interval: 50 };

let directory: string;
let server: TestServer;

beforeAll(async () => {
  if (skip) return;
  directory = await mkdtemp(join(tmpdir(), 'muster-standby-'));
  server = await startTestServer(join(directory, 'clickhouse'));
});

afterAll(async () => {
  if (skip) return;
  await server.stop();
  await rm(directory, { recursive: true });
});

const launched: Program[] = [];
afterEach(async () => {
  for (const program of launched.splice(0)) {
    program.kill();
    await program.exited;
  }
});

type Launched = { readonly program: Program; readonly lines: string[]; readonly origin: string };

function launch(name: string, port: number): Launched {
  const lines: string[] = [];
  const program = startProgram({
    main: join(import.meta.dirname, 'main.ts'),
    args: ['--port', String(port), '--live-port', '0', '--data', join(directory, name)],
    env: { MUSTER_STORE_URL: server.url },
    log: (line) => void lines.push(line),
  });
  launched.push(program);
  return { program, lines, origin: `http://127.0.0.1:${port}` };
}

/** The status of an answer, and its code; 0 where nobody answers. */
async function ask(origin: string, path: string, method = 'GET'): Promise<readonly [number, string]> {
  try {
    const response = await fetch(`${origin}${path}`, { method });
    const body = (await response.json()) as { readonly error?: { readonly code: string } };
    return [response.status, body.error?.code ?? ''];
  } catch {
    return [0, ''];
  }
}

const isReady = async ({ origin }: Launched): Promise<boolean> => (await ask(origin, '/readyz'))[0] === 200;
const isStandby = async ({ origin }: Launched): Promise<boolean> => (await ask(origin, '/readyz'))[1] === 'standby';
const keyOf = async ({ program }: Launched): Promise<string> =>
  new URL((await program.ready) ?? 'http://nobody').hash.slice('#key='.length);

const count = ({ lines }: Launched, event: string): number =>
  lines.filter((line) => line.includes(`"event":"${event}"`)).length;

/** Hosts that send to whichever of the collectors takes it, until `stop`. */
function startLoad(hosts: readonly BookkeepingHost[], startMs: number, onRefused: () => void) {
  let isOver = false;
  const loops = hosts.map(async (host) => {
    for (let tickMs = startMs; !isOver; tickMs += 50_000)
      while (!isOver && (await host.push(tickMs, 50)) !== 200) onRefused();
  });
  const countAcknowledged = (): number => hosts.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
  return {
    async more() {
      const before = countAcknowledged();
      await expect.poll(countAcknowledged, LAPSED).toBeGreaterThan(before + 500);
    },
    async stop() {
      isOver = true;
      await Promise.all(loops);
    },
  };
}

test(
  'a collector stands by, and takes over from one that is killed, stopped or asked to end: nothing is lost or twice',
  { skip, timeout: 300_000 },
  async () => {
    const [portA, portB] = [await findFreePort(), await findFreePort()];
    const killed = launch('a', portA);
    const key = await keyOf(killed);
    let second = launch('b', portB);
    await expect.poll(() => isStandby(second), SOON).toBe(true);
    expect(await ask(second.origin, '/healthz')).toEqual([200, '']);
    expect(await ask(second.origin, '/api/v1/ingest', 'POST')).toEqual([503, 'standby']);
    expect(count(second, 'store.standby')).toBe(1);

    let current = 0;
    const hosts = [];
    for (const name of ['a', 'b', 'c']) {
      const { host, token } = await enrolHost({ origin: killed.origin, key }, name);
      hosts.push(makeBookkeepingHost(() => `http://127.0.0.1:${[portA, portB][current]}`, host, token));
    }
    const startMs = Math.floor(Date.now() / 1000) * 1000 - 12 * 3_600_000;
    const load = startLoad(hosts, startMs, () => (current = 1 - current));
    await load.more();

    killed.program.kill();
    await load.more(); // the second has taken over
    expect(await isReady(second)).toBe(true);
    expect(count(second, 'store.taken-over')).toBe(1);

    let first = launch('a', portA);
    await expect.poll(() => isStandby(first), SOON).toBe(true);
    process.kill(second.program.pid ?? 0, 'SIGSTOP');
    await expect.poll(() => isReady(first), LAPSED).toBe(true);
    process.kill(second.program.pid ?? 0, 'SIGCONT');
    expect(await second.program.exited).toBe(1);
    expect(second.lines.join('\n')).toContain('has taken the database over');
    await load.more();

    second = launch('b', portB);
    await expect.poll(() => isStandby(second), SOON).toBe(true);
    expect(await first.program.stop()).toBe(0);
    await expect.poll(() => isReady(second), SOON).toBe(true);
    await load.more();

    first = launch('a', portA);
    await expect.poll(() => isStandby(first), SOON).toBe(true);
    expect(await first.program.stop()).toBe(0);

    await load.stop();
    expect(await second.program.stop()).toBe(0);
    const engine = await openServer(server.address);
    const audit = await auditBooks(engine, hosts, startMs);
    await engine.close();
    expect(audit.acknowledged).toBeGreaterThan(4 * 500);
    expect(audit).toMatchObject({ lost: 0, duplicated: 0, altered: 0 });
  },
);

test('a collector that was killed does not wait for itself', { skip, timeout: 60_000 }, async () => {
  const port = await findFreePort();
  const killed = launch('again', port);
  await killed.program.ready;
  killed.program.kill();
  await killed.program.exited;
  const next = launch('again', port);
  await until('its start', async () => ((await isReady(next)) ? true : null));
  expect(count(next, 'store.standby')).toBe(0);
  expect(await next.program.stop()).toBe(0);
});
