import { connect } from 'node:net';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { encodeBatch, type Batch } from '@muster/proto/batch';

import {
  encodeCpu,
  makeTestBatch,
  openTestCollector,
  readCode,
  readJson,
  type TestCollector,
} from './test-collector.ts';

let collector: TestCollector;
let host: { host: string; token: string };

beforeAll(async () => {
  collector = await openTestCollector();
  host = await collector.enroll('web-1', 'a'.repeat(64));
});

afterAll(() => collector.close());

const nowMs = Math.floor(Date.now() / 1000) * 1000;

test('POST /api/v1/ingest acknowledges a batch when it can be read back', async () => {
  const response = await collector.push(host.token, zstdCompressSync(encodeCpu(41, nowMs, 0.25)), {
    'Content-Encoding': 'zstd',
  });
  expect([response.status, await response.json()]).toEqual([
    200,
    { ack: 41, nowMs: expect.any(Number), heldMs: expect.any(Number) },
  ]);
  const series = await collector.asAdmin(
    `/api/v1/series?host=web-1&metric=system.cpu.utilization&fromMs=${nowMs}&toMs=${nowMs + 1}`,
  );
  expect(await series.json()).toEqual({
    host: 'web-1',
    metric: 'system.cpu.utilization',
    kind: 'gauge',
    unit: '1',
    fromMs: nowMs,
    toMs: nowMs + 1,
    tier: 'raw',
    tiers: [{ tier: 'raw', fromMs: nowMs, stepMs: 0 }],
    series: [{ labels: {}, tsMs: [nowMs], values: [0.25] }],
    gaps: [],
  });
});

test('GET /api/v1/hosts and /api/v1/hosts/:host give what was pushed', async () => {
  const io = 'network.io.direction=transmit';
  const inventory = { os: 'Debian', cores: 2 };
  for (const [seq, bytes] of [1000, 3000].entries()) {
    const batch: Batch = {
      ...makeTestBatch(seq, nowMs + 1000 + seq * 1000, [['system.network.io', io, bytes]]),
      info: inventory,
    };
    await collector.push(host.token, gzipSync(encodeBatch(batch)), { 'Content-Encoding': 'gzip' });
  }
  const list = await readJson(await collector.asAdmin('/api/v1/hosts'));
  expect(list['hosts']).toMatchObject([{ host: 'web-1', status: 'up', transmitBytesPerSecond: 2000 }]);
  const one = await readJson(await collector.asAdmin('/api/v1/hosts/web-1'));
  expect(one['inventory']).toEqual(inventory);
  expect(one['latest']).toContainEqual({ metric: 'system.network.io', labels: io, tsMs: nowMs + 2000, value: 2000 });
});

test('a name full of markup, an id that is safe', async () => {
  const name = '<img src=x onerror=alert(1)>"\u202E';
  const reply = await collector.enroll(name, 'c'.repeat(64));
  expect(reply.host).toBe('img-src-x-onerror-alert-1');
  const page = await readJson(await collector.asAdmin(`/api/v1/hosts/${reply.host}`));
  expect(page['row']).toMatchObject({ name, status: 'new', lastMs: null });
});

const bomb = Buffer.alloc(8 * 1024 * 1024);

test.for([
  ['nothing', Buffer.alloc(0), {}, 400, 'malformed'],
  ['garbage', Buffer.from('hello'), {}, 400, 'malformed'],
  ['a batch of no version', Buffer.from('81a16101', 'hex'), {}, 400, 'malformed'],
  ['garbage said to be zstd', Buffer.from('hello'), { 'Content-Encoding': 'zstd' }, 400, 'malformed'],
  ['half a gzip', gzipSync(Buffer.alloc(1000)).subarray(0, 20), { 'Content-Encoding': 'gzip' }, 400, 'malformed'],
  ['an unknown encoding', Buffer.from('hello'), { 'Content-Encoding': 'br' }, 415, 'content-encoding'],
  ['JSON', Buffer.from('{}'), { 'Content-Type': 'application/json' }, 415, 'content-type'],
  ['more than 1 MiB', Buffer.alloc(1024 * 1024 + 1), {}, 413, 'too-large'],
  ['8 MiB of zeros as zstd', zstdCompressSync(bomb), { 'Content-Encoding': 'zstd' }, 413, 'too-large'],
  ['8 MiB of zeros as gzip', gzipSync(bomb), { 'Content-Encoding': 'gzip' }, 413, 'too-large'],
] as const)('a body of %s is refused', async ([name, body, headers, status, code]) => {
  // A host of its own each, because one that has sent a bomb must wait.
  const { token } = await collector.enroll('bomber', Buffer.from(name.padEnd(32).slice(0, 32)).toString('hex'));
  const response = await collector.push(token, body, headers);
  expect([response.status, await readCode(response)]).toEqual([status, code]);
});

test.for(['', 'Bearer', 'Bearer wrong', 'Basic d2ViOjE='])('Authorization "%s" is refused', async (authorization) => {
  const response = await collector.push('', encodeCpu(1, nowMs, 0.5), { Authorization: authorization });
  expect([response.status, await readCode(response)]).toEqual([401, 'unauthorized']);
});

test('a body without a length is cut off at the limit', async () => {
  const chunk = new Uint8Array(64 * 1024);
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      sent += chunk.byteLength;
      if (sent > 64 * 1024 * 1024) controller.close();
      else controller.enqueue(chunk);
    },
  });
  const headers = { Authorization: `Bearer ${host.token}`, 'Content-Type': 'application/x-msgpack' };
  const response = await fetch(`${collector.origin}/api/v1/ingest`, {
    method: 'POST',
    body,
    headers,
    duplex: 'half',
  });
  expect([response.status, await readCode(response)]).toEqual([413, 'too-large']);
});

test('samples out of time or out of range are set aside, and those beside them are kept', async () => {
  const farMs = nowMs + 86_400_000;
  const batch: Batch = {
    ...makeTestBatch(1, nowMs, []),
    ticksMs: [1000, nowMs + 3000, farMs],
    series: [
      ['system.cpu.utilization', ''],
      ['system.memory.utilization', ''],
      ['system.load', ''],
    ],
    values: Float64Array.of(0.1, 0.2, 0.3, 0.1, 7, 0.3, 1, Infinity, 3),
  };
  const response = await collector.push(host.token, encodeBatch(batch));
  expect(response.status).toBe(200);
  const read = async (metric: string, fromMs: number): Promise<unknown> => {
    const query = `host=web-1&metric=${metric}&fromMs=${fromMs}&toMs=${fromMs + 1000}`;
    return (await readJson(await collector.asAdmin(`/api/v1/series?${query}`)))['series'];
  };
  expect(await read('system.cpu.utilization', nowMs + 3000)).toEqual([
    { labels: {}, tsMs: [nowMs + 3000], values: [0.2] },
  ]);
  expect(await read('system.cpu.utilization', farMs)).toEqual([]);
  expect(await read('system.memory.utilization', nowMs + 3000)).toEqual([]);
  expect(await read('system.load', nowMs + 3000)).toEqual([]);
  expect(collector.lines.join('')).toContain('"event":"ingest.samples-quarantined","host":"web-1","samples":8');
});

test('events out of time are moved into it, so that one host cannot stop the store for all', async () => {
  const monthMs = 31 * 86_400_000;
  const statuses = await Promise.all(
    [0, 100, 200].map(async (first) => {
      const events = Array.from({ length: 100 }, (_, i) => ({
        kind: 'boot' as const,
        atMs: nowMs - (first + i) * monthMs,
      }));
      return (await collector.push(host.token, encodeBatch({ ...makeTestBatch(1, nowMs, []), events }))).status;
    }),
  );
  expect(statuses).toEqual([200, 200, 200]);
  expect((await fetch(`${collector.origin}/readyz`)).status).toBe(200);
});

test.for([
  ['', 'bad-query', 400],
  ['host=web-1&metric=m&fromMs=1&toMs=x', 'bad-query', 400],
  ['host=web-1&metric=m&fromMs=5&toMs=5', 'bad-range', 400],
  ['host=web-1&metric=m&fromMs=0&toMs=99999999999999', 'bad-range', 400],
  ['host=web-9&metric=m&fromMs=1&toMs=2', 'unknown-host', 404],
] as const)('GET /api/v1/series?%s is refused as %s', async ([query, code, status]) => {
  const response = await collector.asAdmin(`/api/v1/series?${query}`);
  expect([response.status, await readCode(response)]).toEqual([status, code]);
});

test('GET /api/v1/series takes hostile text as text', async () => {
  const metric = encodeURIComponent("x'; DROP TABLE muster.samples; --\n\n");
  const reply = await readJson(await collector.asAdmin(`/api/v1/series?host=web-1&metric=${metric}&fromMs=1&toMs=2`));
  expect(reply['series']).toEqual([]);
});

test('a session: opened by the key, carried by the cookie, kept from other origins, closed', async () => {
  const wrong = await fetch(`${collector.origin}/api/v1/session`, { method: 'POST', body: '{"key":"wrong"}' });
  expect([wrong.status, wrong.headers.get('set-cookie')]).toEqual([401, null]);
  const opened = await fetch(`${collector.origin}/api/v1/session`, {
    method: 'POST',
    body: JSON.stringify({ key: collector.key }),
  });
  const cookie = opened.headers.get('set-cookie') ?? '';
  expect(cookie).toMatch(/^muster_session_\d+=[\w-]{43}; Max-Age=2592000; Path=\/; HttpOnly; SameSite=Strict$/);
  const headers = { Cookie: cookie.split(';')[0] ?? '' };
  const ask = (method: string, origin?: string): Promise<Response> =>
    fetch(`${collector.origin}/api/v1/session`, {
      method,
      headers: { ...headers, ...(origin === undefined ? {} : { Origin: origin }) },
    });
  expect((await ask('GET')).status).toBe(200);
  expect((await ask('DELETE', 'http://evil.example')).status).toBe(403);
  expect((await ask('DELETE')).status).toBe(403);
  expect((await ask('DELETE', collector.origin)).status).toBe(204);
  expect((await ask('GET')).status).toBe(401);
});

test('every route lets in its own role and nobody else', async () => {
  const bearers = { anyone: null, host: host.token, admin: collector.key } as const;
  expect(collector.routes.length).toBeGreaterThan(8);
  for (const { method, path, role } of collector.routes) {
    for (const [caller, bearer] of Object.entries(bearers)) {
      const headers: Record<string, string> = bearer === null ? {} : { Authorization: `Bearer ${bearer}` };
      const { status } = await fetch(`${collector.origin}${path}`, { method, headers });
      const isTurnedAway = status === 401 || status === 403;
      expect(`${method} ${path} as ${caller}: ${isTurnedAway}`).toBe(
        `${method} ${path} as ${caller}: ${role !== 'anyone' && caller !== role}`,
      );
    }
  }
});

test('every answer carries the security headers', async () => {
  for (const path of ['/', '/api/v1/hosts', '/healthz', '/nothing.js']) {
    const { headers } = await fetch(`${collector.origin}${path}`);
    expect(headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  }
});

test.for([
  ['GET / HTTP/1.1\r\nHost: a\r\nBroken header\r\n\r\n', '400', 'malformed'],
  [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, '431', 'headers-too-large'],
  ['GET // HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', '404', 'not-found'],
  ['GET /other HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', '404', 'not-found'],
] as const)('what is not HTTP for us gets an answer too: %#', async ([request, status, code]) => {
  const answer = await new Promise<string>((resolve, reject) => {
    let text = '';
    const socket = connect(collector.port, '127.0.0.1', () => socket.write(request));
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
  expect(answer).toContain(`HTTP/1.1 ${status}`);
  expect(answer).toContain(`{"error":{"code":"${code}"`);
});

test('a connection that is reset in the middle of an upgrade disturbs nothing', async () => {
  for (const path of ['/live', '/other', '//']) {
    for (let i = 0; i < 20; i += 1) {
      const socket = connect(collector.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`, () =>
        socket.resetAndDestroy(),
      );
      await new Promise((resolve) => {
        socket.once('close', resolve);
      });
    }
  }
  expect((await fetch(`${collector.origin}/healthz`)).status).toBe(200);
});

test('a body that is too slow is answered with 408 and a reason, while others are served', async () => {
  const slow = new Promise<string>((resolve, reject) => {
    let text = '';
    const socket = connect(collector.port, '127.0.0.1', () => {
      socket.write(
        `POST /api/v1/ingest HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${host.token}\r\nContent-Type: application/x-msgpack\r\nContent-Length: 1000\r\n\r\nabc`,
      );
    });
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
  expect((await collector.push(host.token, encodeCpu(1, nowMs + 5000, 0.5))).status).toBe(200);
  const answer = await slow;
  expect(answer).toContain('HTTP/1.1 408');
  expect(answer).toContain('{"error":{"code":"too-slow"');
});

test('GET /healthz and /readyz answer anyone', async () => {
  for (const path of ['/healthz', '/readyz']) expect((await fetch(`${collector.origin}${path}`)).status).toBe(200);
});
