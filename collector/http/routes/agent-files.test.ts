import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { DOWNLOADS_MAX } from '../downloads.ts';
import { STRANGERS_MAX } from '../strangers.ts';
import { openTestCollector, readCode, type TestCollector } from '../../test-collector.ts';

/** More than the sockets and streams on the way hold. */
const LARGE_BYTES = 32 * 1024 * 1024;

let directory: string;
let collector: TestCollector;
let aheadMs = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'muster-agents-'));
  mkdirSync(join(directory, 'built'));
  writeFileSync(join(directory, 'secret'), 'secret');
  collector = await openTestCollector({ agents: join(directory, 'built'), now: () => Date.now() + aheadMs });
});

afterAll(async () => {
  await collector.close();
  rmSync(directory, { recursive: true });
});

function put(name: string, content: string | Uint8Array): void {
  writeFileSync(join(directory, 'built', name), content);
}

const get = (path: string, method = 'GET'): Promise<Response> => fetch(`${collector.origin}${path}`, { method });

test('before a build, and while one is under way, the answer says what to run', async () => {
  for (const path of ['/install.sh', '/api/v1/agent/manifest.json', '/api/v1/agent/SHA256SUMS']) {
    const response = await get(path);
    expect([path, response.status]).toEqual([path, 404]);
    expect(await response.text()).toContain('scripts/build-agent.ts');
  }
  put('SHA256SUMS', 'sums');
  expect(await readCode(await get('/api/v1/agent/SHA256SUMS'))).toBe('not-built');
});

test('the files of a build are given out, and nothing else', async () => {
  put('manifest.json', '{"version":"0.1.0"}');
  put('muster-agent-linux-x64.gz', new Uint8Array(LARGE_BYTES));
  put('muster-agent_0.1.0_amd64.deb', 'deb');
  put('muster-agent-empty', '');
  put('notes.txt', 'notes');
  symlinkSync('../../secret', join(directory, 'built', 'muster-agent-link'));
  mkdirSync(join(directory, 'built', 'muster-agent-directory'));

  const manifest = await get('/api/v1/agent/manifest.json');
  expect([manifest.headers.get('content-type'), await manifest.text()]).toEqual([
    'application/json',
    '{"version":"0.1.0"}',
  ]);
  const packed = await get('/api/v1/agent/muster-agent-linux-x64.gz');
  expect(packed.headers.get('content-length')).toBe(String(LARGE_BYTES));
  expect((await packed.arrayBuffer()).byteLength).toBe(LARGE_BYTES);
  expect(await (await get('/api/v1/agent/muster-agent_0.1.0_amd64.deb')).text()).toBe('deb');
  expect(await (await get('/api/v1/agent/muster-agent-empty')).text()).toBe('');
  const head = await get('/api/v1/agent/muster-agent-linux-x64.gz', 'HEAD');
  expect([head.status, head.headers.get('content-length')]).toEqual([200, String(LARGE_BYTES)]);

  const others = ['notes.txt', 'muster-agent-link', 'muster-agent-directory', 'muster-agent-none', '..', '%2e%2e'];
  for (const name of [...others, '..%2fsecret', '%2e%2e%2fsecret', 'manifest.json%00.sig', '%', '/etc/passwd']) {
    const response = await fetchRaw(`/api/v1/agent/${name}`);
    expect([name, response.status]).toEqual([name, 404]);
    expect(response.body).not.toMatch(/^(secret|notes|root:)/);
  }
});

/** As it is written: fetch() would take `..` out of the path. */
function fetchRaw(path: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(collector.origin);
    const asking = request({ hostname, port, path }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asking.on('error', reject).end();
  });
}

test('the script has the address that the collector was reached by, and the unit', async () => {
  const response = await get('/install.sh');
  const script = await response.text();
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(script).toContain(`\nurl_default='${collector.origin}'\n`);
  expect(script).toContain('\nExecStart=/usr/local/bin/muster-agent\n');
  expect(script).not.toMatch(/@[A-Z]+@/);
  const behind = await fetch(`${collector.origin}/install.sh`, { headers: { 'X-Forwarded-Proto': 'https' } });
  expect(await behind.text()).toContain(`\nurl_default='${collector.origin.replace('http:', 'https:')}'\n`);
});

test.for(["a';id;'", 'a$(id)', 'a`id`'])('a Host header such as %s gets no script', async (host) => {
  const { hostname, port } = new URL(collector.origin);
  const status = await new Promise((resolve, reject) => {
    request({ hostname, port, path: '/install.sh', headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  expect(status).toBe(400);
});

/** Asks for the large file, and reads nothing of it yet. */
function openDownload(): Socket {
  const socket = connect(collector.port, '127.0.0.1').pause();
  socket.on('error', () => undefined);
  socket.write('GET /api/v1/agent/muster-agent-linux-x64.gz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  return socket;
}

/** How many bytes come until the connection ends. */
async function readRest(socket: Socket): Promise<number> {
  socket.resume();
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
  await once(socket, 'close');
  return bytes;
}

test('downloads are limited, and one that is given up makes room', async () => {
  const sockets = Array.from({ length: DOWNLOADS_MAX }, openDownload);
  await expect.poll(countOpen).toBe(DOWNLOADS_MAX);
  const refused = await get('/api/v1/agent/muster-agent-linux-x64.gz');
  expect([refused.status, refused.headers.get('retry-after'), await readCode(refused)]).toEqual([503, '10', 'busy']);
  for (const socket of sockets) socket.destroy();
  await expect.poll(async () => (await get('/api/v1/agent/manifest.json')).status).toBe(200);
  await expect.poll(countOpen).toBe(0);
});

test('slow readers do not hold all places: the oldest of them is cut, and only for one more', async () => {
  const first = openDownload();
  await expect.poll(countOpen).toBe(1);
  const [second, ...others] = Array.from({ length: DOWNLOADS_MAX - 1 }, openDownload);
  if (second === undefined) throw new Error('There is no second one');
  await expect.poll(countOpen).toBe(DOWNLOADS_MAX);
  aheadMs += 600_000;
  const packed = await get('/api/v1/agent/muster-agent-linux-x64.gz');
  expect((await packed.arrayBuffer()).byteLength).toBe(LARGE_BYTES);
  expect(await readRest(first)).toBeLessThan(LARGE_BYTES);
  expect(await readRest(second)).toBeGreaterThan(LARGE_BYTES);
  expect(collector.lines.filter((line) => line.includes('slow-download'))).toHaveLength(1);
  for (const socket of others) socket.destroy();
  await expect.poll(countOpen).toBe(0);
});

test('a download under way outlives a flood of strangers', async () => {
  const download = openDownload();
  await expect.poll(countOpen).toBe(1);
  const flood = Array.from({ length: STRANGERS_MAX + 1 }, () => connect(collector.port, '127.0.0.1'));
  const closed = flood.map((socket) =>
    once(
      socket.on('error', () => undefined),
      'close',
    ),
  );
  await Promise.race(closed);
  expect(await readRest(download)).toBeGreaterThan(LARGE_BYTES);
  for (const socket of flood) socket.destroy();
  await Promise.all(closed);
});

/** Files of the build that this process holds open. */
function countOpen(): number {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // closed meanwhile
    }
  });
  return links.filter((path) => path.startsWith(directory)).length;
}
