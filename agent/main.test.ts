import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Batch } from '@muster/proto/batch';
import { METRICS } from '@muster/proto/metric';
import { afterEach, expect, test } from 'vitest';

import { writeIdentity } from './state.ts';
import { openStandIn } from './testing/collector.ts';
import { findSampleFault } from './testing/fixture.ts';
import { findFreePort } from './testing/free-port.ts';

type Running = { readonly child: ChildProcess; readonly stderr: () => string; readonly exited: Promise<unknown[]> };

const running: ChildProcess[] = [];
const states: string[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
  for (const state of states.splice(0)) rmSync(state, { recursive: true });
});

function makeState(): string {
  const state = mkdtempSync(join(tmpdir(), 'muster-agent-'));
  states.push(state);
  return state;
}

/** The agent as a process of its own, as it runs on a host. */
function startAgent(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...argv], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  running.push(child);
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return { child, stderr: () => stderr, exited: once(child, 'close') };
}

/** Each once: what was stored and not answered, because the collector was closed then, comes again. */
function ticksOf(batches: readonly Batch[]): number[] {
  return [...new Set(batches.flatMap(({ ticksMs }) => ticksMs))].toSorted((a, b) => a - b);
}

/** Which records have arrived, each once; a batch may carry several. */
function recordsOf(batches: readonly Batch[]): number[] {
  const seqs = batches.flatMap(({ since, seq }) => {
    const first = since ?? seq;
    return Array.from({ length: seq - first + 1 }, (_, i) => first + i);
  });
  return [...new Set(seqs)].toSorted((a, b) => a - b);
}

function countTo(last: number | undefined): number[] {
  return Array.from({ length: last ?? 0 }, (_, i) => i + 1);
}

function findFaults(batches: readonly Batch[]): string[] {
  return batches.flatMap(({ series, values, ticksMs }) =>
    series.flatMap(([metric, labels], row) =>
      [...values.subarray(row * ticksMs.length, (row + 1) * ticksMs.length)]
        .filter((value) => !Number.isNaN(value))
        .flatMap((value) => findSampleFault({ metric, labels, value }) ?? []),
    ),
  );
}

test('an agent samples this machine, survives an outage without losing a tick, and stops cleanly', async () => {
  const state = makeState();
  const first = await openStandIn();
  first.expect(...Array.from({ length: 20 }, () => ({ kind: 'accept', everyMs: 1 }) as const)); // a second at least
  const argv = ['--url', first.url, '--state', state, '--interval', '1s', '--labels', 'env=prod,rack=12'];
  const agent = startAgent(argv, { MUSTER_TOKEN: 'enrolment' });
  await first.until(() => first.batches.length >= 2);
  const port = Number(new URL(first.url).port);
  await first.close();
  await expect.poll(agent.stderr, { timeout: 10_000 }).toContain('push.waiting');

  const second = await openStandIn(port);
  await second.until(() =>
    second.batches.some(({ ticksMs }) => (ticksMs[0] ?? 0) > (ticksOf(first.batches).at(-1) ?? 0)),
  );
  agent.child.kill('SIGTERM');
  expect(await agent.exited).toEqual([0, null]);

  const batches = [...first.batches, ...second.batches];
  const ticksMs = ticksOf(batches);
  // A machine that is too busy takes a tick less, which is none of the agent's; but every record arrives.
  expect(ticksMs.slice(1).filter((tsMs) => tsMs % 1_000 !== 0)).toEqual([]); // the first tick comes at once
  expect(new Set(batches.map(({ epoch }) => epoch)).size).toBe(1);
  const records = recordsOf(batches);
  expect(records).toEqual(countTo(records.at(-1)));
  expect(findFaults(batches)).toEqual([]);
  const metrics = new Set(batches.flatMap(({ series }) => series.map(([metric]) => metric)));
  expect(Object.keys(METRICS).filter((metric) => !metrics.has(metric) && !OPTIONAL.test(metric))).toEqual([]);
  expect(batches.find(({ info }) => info !== undefined)?.info).toMatchObject({
    agentVersion: '0.1.0',
    labels: { env: 'prod', rack: '12' },
  });
  expect(batches.flatMap(({ events = [] }) => events.map(({ kind }) => kind))).toContain('shutdown');
  expect(agent.stderr()).toContain('"event":"agent.enrolled","host":"host-1"');
  expect(JSON.parse(readFileSync(join(state, 'identity.json'), 'utf8'))).toMatchObject({ host: 'host-1' });
});

/**
 * What a machine without swap, pressure, disks or cards of its own, inodes or a governed clock does not have, nor one
 * without containers, checks, custom metrics, systemd and sensors; and what processes do between two readings, which are
 * ten seconds apart.
 */
const OPTIONAL =
  /^(container|hw\.|systemd\.|process\.(cpu|disk)|muster\.check|muster\.agent\.(series|samples|statsd|otlp|textfile)|system\.(paging\.u|pressure|disk|filesystem\.inodes|cpu\.frequency|user|network\.(conntrack|speed|up|tcp\.listen)))/;

test('an agent samples before it is enrolled, and delivers that and a boot that it cannot make a note of', async () => {
  const state = makeState();
  writeFileSync(join(state, 'boot-id'), 'another boot');
  mkdirSync(join(state, 'boot-id.tmp'));
  const collector = await openStandIn();
  collector.expect({ kind: 'answer', status: 503, headers: { 'retry-after': '2' } });
  const agent = startAgent(['--url', collector.url, '--state', state, '--interval', '1s'], { MUSTER_TOKEN: 'x' });
  await collector.until(() => collector.batches.length > 0);
  agent.child.kill('SIGINT');
  expect(await agent.exited).toEqual([0, null]);
  expect(collector.batches.flatMap(({ events = [] }) => events.map(({ kind }) => kind))).toContain('boot');
  expect(ticksOf(collector.batches).length).toBeGreaterThanOrEqual(2);
  await collector.close();
});

test('an agent that is killed loses no tick that was written, and goes on with its numbers', async () => {
  const state = makeState();
  writeIdentity(state, { host: 'host-1', token: 'token-1' });
  const collector = await openStandIn();
  collector.expect(
    { kind: 'accept', everyMs: 1_000 },
    ...Array.from({ length: 100 }, () => ({ kind: 'hang' }) as const),
  );
  const argv = ['--url', collector.url, '--state', state, '--interval', '1s'];
  const killed = startAgent(argv);
  await collector.until(() => collector.requests.length >= 2);
  killed.child.kill('SIGKILL');
  await killed.exited;
  const killedMs = Date.now();
  const url = new URL(collector.url);
  await collector.close();
  const second = await openStandIn(Number(url.port));
  const agent = startAgent(argv);
  await second.until(() => second.batches.length >= 2);
  agent.child.kill('SIGTERM');
  expect(await agent.exited).toEqual([0, null]);
  const batches = [...collector.batches, ...second.batches];
  expect(new Set(batches.map(({ epoch }) => epoch)).size).toBe(1);
  const records = recordsOf(batches);
  expect(records).toEqual(countTo(records.at(-1)));
  expect(new Set(batches.map(({ run }) => run)).size).toBe(2);
  const gaps = batches.flatMap(({ events = [] }) => events).filter((event) => event.kind === 'gap');
  // A start within the same second leaves none.
  const lastMs = Math.max(...ticksOf(batches).filter((tsMs) => tsMs <= killedMs));
  expect(gaps.map(({ fromMs, reason }) => [fromMs, reason])).toEqual(gaps.map(() => [lastMs + 1_000, 'killed']));
  await second.close();
});

test('an agent takes what services send as StatsD and OTLP, and says what it is', async () => {
  const state = makeState();
  writeIdentity(state, { host: 'host-1', token: 'token-1' });
  const [statsd, otlp] = [await findFreePort('udp'), await findFreePort('tcp')];
  const config = join(state, 'agent.yaml');
  writeFileSync(config, `sources: { statsd: { port: ${statsd} }, otlp: { port: ${otlp} } }\n`);
  const collector = await openStandIn();
  const agent = startAgent(['--url', collector.url, '--state', state, '--interval', '1s', '--config', config]);
  await collector.until(() => collector.batches.length > 0);
  const socket = createSocket('udp4');
  socket.send('hits:3|c', statsd, '127.0.0.1');
  const gauge = { dataPoints: [{ asInt: '7' }] };
  const response = await fetch(`http://127.0.0.1:${otlp}/v1/metrics`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: 'queue', unit: 'By', gauge }] }] }],
    }),
  });
  expect(response.status).toBe(200);
  const described = () => new Set(collector.batches.flatMap((batch) => batch.described ?? []).map(String));
  await collector.until(() => described().size >= 2);
  expect(described()).toEqual(new Set(['hits,counter,', 'queue,gauge,By']));
  socket.close();
  agent.child.kill('SIGTERM');
  expect(await agent.exited).toEqual([0, null]);
  await collector.close();
});

test('two agents do not share a state directory', async () => {
  const state = makeState();
  writeIdentity(state, { host: 'host-1', token: 'token-1' });
  const first = startAgent(['--url', 'http://127.0.0.1:1', '--state', state]);
  await expect.poll(first.stderr, { timeout: 10_000 }).toContain('agent.enrolled');
  const second = startAgent(['--url', 'http://127.0.0.1:1', '--state', state]);
  expect(await second.exited).toEqual([1, null]);
  expect(second.stderr()).toContain(`stop that one (kill ${first.child.pid})`);
  first.child.kill('SIGKILL');
  await first.exited;
  const third = startAgent(['--url', 'http://127.0.0.1:1', '--state', state]);
  await expect.poll(third.stderr, { timeout: 10_000 }).toContain('agent.enrolled');
  third.child.kill('SIGTERM');
  expect(await third.exited).toEqual([0, null]);
});

test('a second signal ends an agent that cannot deliver, at once', async () => {
  const state = makeState();
  writeIdentity(state, { host: 'host-1', token: 'token-1' });
  const collector = await openStandIn();
  collector.expect(...Array.from({ length: 100 }, () => ({ kind: 'hang' }) as const));
  const agent = startAgent(['--url', collector.url, '--state', state, '--interval', '1s']);
  await collector.until(() => collector.requests.length > 0);
  agent.child.kill('SIGTERM');
  await expect.poll(agent.stderr, { timeout: 10_000 }).toContain('agent.stopping');
  agent.child.kill('SIGTERM');
  expect(await agent.exited).toEqual([1, null]);
  await collector.close();
});

test('an agent whose enrolment is refused says why in one line and exits with 1', async () => {
  const collector = await openStandIn();
  collector.expect({ kind: 'answer', status: 403 });
  const agent = startAgent(['--url', collector.url, '--state', makeState()], { MUSTER_TOKEN: 'wrong' });
  expect(await agent.exited).toEqual([1, null]);
  expect(agent.stderr()).toContain('"event":"agent.refused","reason":"403: as the test wants it"');
  await collector.close();
});

test('an agent without identity and token says what it needs and exits with 1', async () => {
  const agent = startAgent(['--state', makeState()]);
  expect(await agent.exited).toEqual([1, null]);
  expect(agent.stderr()).toContain('set MUSTER_TOKEN');
  expect(agent.stderr()).not.toContain('spool.unwritable'); // there is just nothing yet
});

test('a wrongly configured agent names every fault, a line each, and exits with 2', async () => {
  const agent = startAgent(['--interval', '0s', '--url', 'http://muster.example', '--colour']);
  expect(await agent.exited).toEqual([2, null]);
  expect(agent.stderr().trim().split('\n')).toHaveLength(3);
});

test('an agent that is enrolled starts without its token file and without room for a note, and keeps what it cannot deliver', async () => {
  const collector = await openStandIn();
  collector.expect(...Array.from({ length: 100 }, () => ({ kind: 'answer', status: 401 }) as const));
  const state = makeState();
  writeIdentity(state, { host: 'host-1', token: 'token-1' });
  mkdirSync(join(state, 'boot-id'));
  const argv = ['--url', collector.url, '--state', state, '--interval', '1s'];
  const agent = startAgent(argv, { MUSTER_TOKEN_FILE: join(state, 'gone') });
  await expect.poll(agent.stderr, { timeout: 10_000 }).toContain('push.unauthorised');
  agent.child.kill('SIGTERM');
  expect(await agent.exited).toEqual([0, null]);
  expect(agent.stderr()).toContain('"level":"WARN","event":"boot.failed"');
  expect(agent.stderr()).toContain('"level":"INFO","event":"agent.kept","samples":');
  await collector.close();
});

test('an agent that cannot keep an identity asks for none, says so in one line and exits with 1', async () => {
  const collector = await openStandIn();
  const state = makeState();
  mkdirSync(join(state, 'identity.json.tmp'));
  const agent = startAgent(['--url', collector.url, '--state', state], { MUSTER_TOKEN: 'x' });
  expect(await agent.exited).toEqual([1, null]);
  expect(agent.stderr()).toContain('make it writable');
  expect(collector.requests).toEqual([]);
  await collector.close();
});

test('an agent that has joined and cannot keep its identity says what to do and exits with 1', async () => {
  const collector = await openStandIn();
  const state = makeState();
  const { promise: isInTheWay, resolve: go } = Promise.withResolvers<void>();
  collector.expect({ kind: 'held', until: isInTheWay });
  const agent = startAgent(['--url', collector.url, '--state', state], { MUSTER_TOKEN: 'x' });
  await expect.poll(() => collector.requests, { timeout: 10_000 }).toHaveLength(1);
  mkdirSync(join(state, 'identity.json'));
  go();
  expect(await agent.exited).toEqual([1, null]);
  expect(agent.stderr()).toContain('"event":"agent.refused","reason":"the collector let this host join, but');
  await collector.close();
});

test('an agent stops when the parent that keeps a channel to it is gone', async () => {
  const agent = startAgent(['--url', 'http://127.0.0.1:1', '--state', makeState()], { MUSTER_TOKEN: 'x' });
  agent.child.disconnect();
  // Node emits no "close" for a child that was disconnected.
  expect(await once(agent.child, 'exit')).toEqual([0, null]);
});
