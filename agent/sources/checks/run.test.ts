import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { expect, test } from 'vitest';

import { makeRoot } from '../../testing/fixture.ts';
import { failureOf, look, makeHttpProbe } from '../../testing/probes.ts';
import { openService } from '../../testing/services.ts';
import type { Family, Probe } from './check.ts';
import { runProbe } from './run.ts';

function makeTcpProbe(host: string, port: number, family: Family = 0): Probe {
  return { kind: 'tcp', address: { host, port }, family };
}

test('a port that is open is up, by its address and by a name of etc/hosts, and a closed one refuses', async () => {
  const service = await openService(() => undefined);
  const up = await look(makeTcpProbe('127.0.0.1', service.port));
  expect([failureOf(up), [...up.phasesMs.keys()]]).toEqual([null, ['dns', 'connect']]);
  const root = makeRoot({ 'etc/hosts': '::1 shop.internal\n127.0.0.1 shop.internal\n' });
  const at = (family: Family) =>
    runProbe(makeTcpProbe('Shop.internal', service.port, family), {
      timeoutMs: 20_000,
      closing: new AbortController().signal,
      now: Date.now,
      nowMs: () => performance.now(),
      root,
    });
  expect([failureOf(await at(0)), failureOf(await at(4))]).toEqual([null, null]); // nothing listens on ::1
  expect(failureOf(await at(6))).toMatch(/^(refused|unreachable): /);
  await expect.poll(service.countConnections).toBe(0);
  await service.close();
  expect(failureOf(await look(makeTcpProbe('127.0.0.1', service.port)))).toBe('refused: the connection was refused');
});

test('a name that there is not is a fault of the name', async () => {
  expect(failureOf(await look(makeTcpProbe('no-such-name.invalid', 80)))).toMatch(/^dns: /);
});

/** Listens, and accepts nothing: it is stopped, and once its queue is full the kernel drops what comes. */
const DEAF = `
  const server = require('node:net').createServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => process.stdout.write(String(server.address().port)));
`;

test('a host that drops what is sent to it is given up', async () => {
  const child = spawn(process.execPath, ['-e', DEAF], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [text]: Buffer[] = await once(child.stdout, 'data');
  const port = Number(text);
  child.kill('SIGSTOP');
  const callers: Socket[] = [];
  try {
    await expect
      .poll(
        async () => {
          callers.push(connect(port, '127.0.0.1').on('error', () => undefined));
          return failureOf(await look(makeTcpProbe('127.0.0.1', port), 300));
        },
        { timeout: 20_000 },
      )
      .toBe('timeout: over 0.3 s while connecting');
  } finally {
    for (const caller of callers) caller.destroy();
    child.kill('SIGKILL');
  }
});

test('an agent that ends ends what is under way', async () => {
  const service = await openService(() => undefined);
  const closing = new AbortController();
  const looking = runProbe(makeHttpProbe(`http://127.0.0.1:${service.port}/`), {
    timeoutMs: 60_000,
    closing: closing.signal,
    now: Date.now,
    nowMs: () => performance.now(),
    root: '/',
  });
  await expect.poll(service.countConnections).toBe(1);
  closing.abort();
  expect(failureOf(await looking)).toBe('other: the agent ends');
  await expect.poll(service.countConnections).toBe(0);
  await service.close();
});
