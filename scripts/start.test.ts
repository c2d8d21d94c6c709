import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { openEmbedded } from '@muster/collector/store/embedded';
import { isRecord } from '@muster/proto/record';

import { runMuster } from './run-muster.ts';
import { until } from './until.ts';

const ROOT = join(import.meta.dirname, '..');
const MODES = ['user', 'nice', 'system', 'idle', 'iowait', 'interrupt', 'softirq', 'steal'] as const;

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-start-'));
});

afterAll(() => rm(directory, { recursive: true }));

/** Clock ticks of 10 ms spent in each mode since boot. Source: proc(5). */
function readCpuSeconds(): readonly number[] {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  return line
    .split(/\s+/)
    .slice(1, 9)
    .map((ticks) => Number(ticks) / 100);
}

function readMemory(): { totalBytes: number; freeBytes: number } {
  const text = readFileSync('/proc/meminfo', 'utf8');
  const bytesOf = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024;
  return { totalBytes: bytesOf('MemTotal'), freeBytes: bytesOf('MemFree') };
}

async function countTicks(url: URL, key: string): Promise<number> {
  const nowMs = Date.now();
  const headers = { Authorization: `Bearer ${key}` };
  const list: unknown = await (await fetch(`${url.origin}/api/v1/hosts`, { headers })).json();
  const hosts = isRecord(list) && Array.isArray(list['hosts']) ? list['hosts'] : [];
  const [row] = hosts;
  if (!isRecord(row)) return 0;
  const query = `host=${String(row['host'])}&metric=system.cpu.time&fromMs=${nowMs - 600_000}&toMs=${nowMs + 1000}`;
  const reply: unknown = await (await fetch(`${url.origin}/api/v1/series?${query}`, { headers })).json();
  const series = isRecord(reply) && Array.isArray(reply['series']) ? reply['series'] : [];
  const [first] = series;
  return isRecord(first) && Array.isArray(first['tsMs']) ? first['tsMs'].length : 0;
}

test('npm start: what the agent read is what ClickHouse holds, Ctrl-C ends it with 0', async () => {
  const before = { cpu: readCpuSeconds(), memory: readMemory() };
  const frees = [before.memory.freeBytes];
  const data = join(directory, 'data');
  const { child, url, exited } = runMuster(['--port', '0', '--data', data]);
  const address = await url();
  const key = address.hash.slice('#key='.length);
  await until('ticks of this host', async () => {
    frees.push(readMemory().freeBytes);
    return (await countTicks(address, key)) > 0 ? true : null;
  });
  child.kill('SIGINT');
  expect(await exited).toBe(0);
  const after = { cpu: readCpuSeconds(), memory: readMemory() };
  frees.push(after.memory.freeBytes);

  const engine = await openEmbedded(data);
  const rows = await engine.query(
    'SELECT metric, labels, max(ts) AS tick, argMax(value, ts) AS value FROM muster.samples GROUP BY metric, labels',
  );
  const times = await engine.query(
    "SELECT labels, groupArray(value) AS values FROM (SELECT * FROM muster.samples WHERE metric = 'system.cpu.time' ORDER BY ts) GROUP BY labels",
  );
  await engine.close();
  const valueOf = (metric: string, labels: string): number =>
    Number(rows.find((row) => row['metric'] === metric && row['labels'] === labels)?.['value']);

  // CPU time only rises, so each stored reading lies between one taken before and one taken after.
  for (const [i, mode] of MODES.entries()) {
    const values = times.find((row) => row['labels'] === `cpu.mode=${mode}`)?.['values'];
    const seconds = Array.isArray(values) ? values.map(Number) : [];
    expect(seconds.length, mode).toBeGreaterThan(0);
    expect(Math.min(...seconds), mode).toBeGreaterThanOrEqual(before.cpu[i] ?? NaN);
    expect(Math.max(...seconds), mode).toBeLessThanOrEqual(after.cpu[i] ?? NaN);
  }
  const usage = ['used', 'free', 'buffers', 'cached'].map((state) =>
    valueOf('system.memory.usage', `system.memory.state=${state}`),
  );
  expect(usage.reduce((sum, bytes) => sum + bytes, 0)).toBe(after.memory.totalBytes);
  expect(valueOf('system.memory.limit', '')).toBe(after.memory.totalBytes);
  // Free memory moves while the test runs; the reading lies among ours, or as near as what the programs themselves take.
  const slackBytes = 512 * 1024 * 1024;
  expect(valueOf('system.memory.usage', 'system.memory.state=free')).toBeGreaterThanOrEqual(
    Math.min(...frees) - slackBytes,
  );
  expect(valueOf('system.memory.usage', 'system.memory.state=free')).toBeLessThanOrEqual(
    Math.max(...frees) + slackBytes,
  );
}, 60_000);

test('npm start -- --demo shows a fleet that is made up, with a past', async () => {
  const { child, url, exited } = runMuster(['--port', '0', '--data', join(directory, 'demo'), '--demo']);
  const { origin, hash } = await url();
  const headers = { Authorization: `Bearer ${hash.slice('#key='.length)}` };
  const ask = async (path: string): Promise<unknown> => (await fetch(`${origin}${path}`, { headers })).json();
  await until('sixty hosts and this one', async () => {
    const list = await ask('/api/v1/hosts');
    const hosts = isRecord(list) && Array.isArray(list['hosts']) ? list['hosts'] : [];
    return hosts.filter((row) => isRecord(row) && row['status'] === 'up').length === 61 ? true : null;
  });
  const yesterdayMs = Date.now() - 86_400_000;
  const range = `fromMs=${yesterdayMs}&toMs=${yesterdayMs + 3_600_000}`;
  await until('its past', async () => {
    const reply = await ask(`/api/v1/series?host=web-eu-central-0000&metric=system.memory.utilization&${range}`);
    const [first] = isRecord(reply) && Array.isArray(reply['series']) ? reply['series'] : [];
    return isRecord(first) && Array.isArray(first['tsMs']) && first['tsMs'].length > 10 ? true : null;
  });
  child.kill('SIGINT');
  expect(await exited).toBe(0);
}, 60_000);

test('npm start a second time finds the host again, with its identity and its history', async () => {
  const data = join(directory, 'twice');
  await startAndStop(data);
  const identity = await readFile(join(data, 'agent/identity.json'), 'utf8');
  expect((await stat(join(data, 'agent/identity.json'))).mode & 0o777).toBe(0o600);
  expect((await stat(join(data, 'access-key'))).mode & 0o777).toBe(0o600);
  // The URL may have another port now: the agent is told it anew.
  const { child, url, exited } = runMuster(['--port', '0', '--data', data]);
  const address = await url();
  const ticks = await countTicks(address, address.hash.slice('#key='.length));
  expect(ticks).toBeGreaterThan(0);
  await until('a further tick', async () =>
    (await countTicks(address, address.hash.slice('#key='.length))) > ticks ? true : null,
  );
  expect(JSON.parse(await readFile(join(data, 'agent/identity.json'), 'utf8'))).toMatchObject({
    host: JSON.parse(identity).host,
  });
  child.kill('SIGTERM');
  expect(await exited).toBe(0);
}, 60_000);

test('Ctrl-C in a terminal, which reaches npm, its shell and us at once, ends with 0 and leaves nothing', async () => {
  const data = join(directory, 'terminal');
  const npm = spawn('npm', ['start', '--', '--port', '0', '--data', data], { cwd: ROOT, detached: true });
  let said = '';
  npm.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => {
    npm.once('close', resolve);
  });
  await until('the URL', () => (said.includes('#key=') ? true : null));
  process.kill(-(npm.pid ?? NaN), 'SIGINT'); // the whole group, as a terminal does
  expect(await exited).toBe(0);
  expect(said).toContain('Stopping …');
  await expect(stat(join(data, 'lock'))).rejects.toThrow('ENOENT');
}, 60_000);

/** Runs until the first samples are stored. */
async function startAndStop(data: string): Promise<void> {
  const { child, url, exited } = runMuster(['--port', '0', '--data', data]);
  const address = await url();
  await until('ticks of this host', async () =>
    (await countTicks(address, address.hash.slice('#key='.length))) > 0 ? true : null,
  );
  child.kill('SIGINT');
  expect(await exited).toBe(0);
}

test('npm start that is stopped while it starts leaves nothing behind', async () => {
  const data = join(directory, 'hasty');
  const { child, exited } = runMuster(['--port', '0', '--data', data]);
  await until('the lock', () =>
    stat(join(data, 'lock')).then(
      () => true,
      () => null,
    ),
  );
  child.kill('SIGINT');
  expect(await exited).toBe(0);
  await expect(stat(join(data, 'lock'))).rejects.toThrow('ENOENT');
});

test('npm start on a data directory that is in use says who holds it, in one line', async () => {
  const data = join(directory, 'held');
  const first = runMuster(['--port', '0', '--data', data, '--no-agent']);
  await first.url();
  const second = runMuster(['--port', '0', '--data', data, '--no-agent']);
  expect(await second.exited).toBe(1);
  expect(second.said.text.trim()).toMatch(
    /^Cannot open the data directory .*held: process \d+ holds it; stop that one \(kill \d+\) or choose another with --data$/,
  );
  first.child.kill('SIGTERM');
  expect(await first.exited).toBe(0);
}, 60_000);

test('npm start on a port that is in use says so, in one line', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => {
    server.once('listening', resolve);
  });
  const { port } = server.address() as AddressInfo; // it listens on a port, not a path
  const { said, exited } = runMuster(['--port', String(port), '--data', join(directory, 'port'), '--no-agent']);
  expect(await exited).toBe(1);
  expect(said.text.trim()).toBe(`Cannot listen on 127.0.0.1:${port}: the port is in use; choose another with --port`);
  server.close();
}, 60_000);

test('npm start with a data directory that cannot be one says so, in one line', async () => {
  const file = join(directory, 'file');
  await writeFile(file, '');
  const { said, exited } = runMuster(['--port', '0', '--data', file, '--no-agent']);
  expect(await exited).toBe(1);
  expect(said.text.trim()).toBe(
    `Cannot use the data directory ${file}: ${file} is no directory, or something above it is none; choose another with --data`,
  );
});

test('npm start with wrong options reports all of them', async () => {
  const { said, exited } = runMuster(['--port', 'x', '--colour']);
  expect(await exited).toBe(2);
  expect(said.text.trim().split('\n')).toEqual([
    '--colour is not an option; --help lists them',
    '--port must be a port from 0 (any free one) to 65535, was "x"',
  ]);
});

test('npm start -- --help lists the options', async () => {
  const { said, exited } = runMuster(['--help']);
  expect(await exited).toBe(0);
  for (const option of ['--port', '--data', '--no-agent', '--help']) expect(said.text).toContain(option);
});

test('npm start on a Node that is too old says which one is needed, in one line', async () => {
  const preload = join(directory, 'old-node.cjs');
  await writeFile(
    preload,
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.0' } });",
  );
  const { said, exited } = runMuster([], ['--require', preload]);
  expect(await exited).toBe(1);
  expect(said.text).toBe(
    'Cannot run Muster: it needs Node 20 or newer, this is 18.20.0; get it from https://nodejs.org\n',
  );
});

test('a killed npm start leaves no program behind', async () => {
  const data = join(directory, 'killed');
  const { child, url, exited } = runMuster(['--port', '0', '--data', data]);
  await url();
  child.kill('SIGKILL'); // which nobody can pass on to the programs it started
  await exited;
  const isReleased = await until('the end of the collector', () =>
    stat(join(data, 'lock')).then(
      () => null,
      () => true,
    ),
  );
  expect(isReleased).toBe(true);
}, 60_000);
