import { connect } from 'node:net';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { encodeBatch } from '@muster/proto/batch';
import { findAbout } from '@muster/proto/custom';
import { TOPICS_MAX, type LiveMessage } from '@muster/proto/live';

import type { LiveSocket } from './http/live-server.ts';
import { makeLatest } from './ingest/latest.ts';
import { openLiveHub } from './live.ts';
import { until } from '../scripts/until.ts';
import { encodeCpu, makeTestBatch, openTestCollector, type TestCollector } from './test-collector.ts';

let collector: TestCollector;
let host: { host: string; token: string };

beforeAll(async () => {
  collector = await openTestCollector();
  host = await collector.enroll('web-1', 'a'.repeat(64));
});

afterAll(() => collector.close());

/** A real socket through the tunnel, and the messages it gets, in order. */
async function openSocket(headers: Record<string, string>) {
  // The browser's WebSocket in Node, which takes headers as well.
  const socket = new WebSocket(`${collector.origin.replace('http', 'ws')}/live`, { headers });
  const received: LiveMessage[] = [];
  let wake: () => void = () => undefined;
  socket.addEventListener('message', ({ data }) => {
    received.push(JSON.parse(String(data)));
    wake();
  });
  const closed = new Promise<void>((resolve) => {
    socket.addEventListener('close', () => resolve());
  });
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve());
    socket.addEventListener('error', () => reject(new Error('Cannot open the socket')));
  });
  return {
    socket,
    closed,
    ask: (request: unknown) => socket.send(JSON.stringify(request)),
    async next(kind: LiveMessage['kind']): Promise<LiveMessage> {
      for (;;) {
        const index = received.findIndex((message) => message.kind === kind);
        const [message] = index < 0 ? [] : received.splice(index, 1);
        if (message !== undefined) return message;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

const asAdmin = (): Record<string, string> => ({ Authorization: `Bearer ${collector.key}` });
const nowMs = Math.floor(Date.now() / 1000) * 1000;

test('a follower of a host gets a snapshot, then each value as it comes, and the host is asked for more', async () => {
  const live = await openSocket(asAdmin());
  live.ask({ kind: 'subscribe', topic: 'host/web-1' });
  expect(await live.next('host-snapshot')).toMatchObject({
    topic: 'host/web-1',
    seq: 0,
    row: { status: 'new' },
    values: [],
  });
  const response = await collector.push(host.token, encodeCpu(1, nowMs, 0.5));
  expect(await response.json()).toMatchObject({ ack: 1, everyMs: 1000 });
  let patch = await live.next('host-patch');
  // One of the status alone may come before.
  if ('values' in patch && patch.values.length === 0) patch = await live.next('host-patch');
  expect(patch).toMatchObject({
    row: { status: 'up', cpuRatio: 0.5 },
    values: [{ metric: 'system.cpu.utilization', labels: '', tsMs: nowMs, value: 0.5 }],
  });
  live.ask({ kind: 'unsubscribe', topic: 'host/web-1' });
  live.ask({ kind: 'subscribe', topic: 'host/nobody' });
  expect(await live.next('refused')).toMatchObject({ code: 'unknown-host' });
  expect(await (await collector.push(host.token, encodeCpu(2, nowMs + 1000, 0.5))).json()).not.toHaveProperty(
    'everyMs',
  );
  live.socket.close();
});

test('a follower of the fleet gets every row, then those that change, new hosts among them', async () => {
  const live = await openSocket(asAdmin());
  live.ask({ kind: 'subscribe', topic: 'fleet' });
  const snapshot = await live.next('fleet-snapshot');
  expect(snapshot).toMatchObject({ rows: [{ host: 'web-1' }] });
  await collector.enroll('web-2', 'b'.repeat(64));
  for (let patches = 1; ; patches += 1) {
    const patch = await live.next('fleet-patch');
    if (!('seq' in patch && 'rows' in patch && 'seq' in snapshot)) throw new Error('It was asked for by its kind');
    expect(patch.seq - snapshot.seq).toBe(patches);
    const row = patch.rows.find(({ host: one }) => one === 'web-2');
    if (row === undefined) continue; // what the tests before have pushed
    expect(row.status).toBe('new');
    break;
  }
  live.socket.close();
});

test('a request that is none is refused and disturbs nothing', async () => {
  const live = await openSocket(asAdmin());
  live.socket.send('hello');
  expect(await live.next('refused')).toMatchObject({ code: 'bad-request' });
  live.ask({ kind: 'subscribe', topic: 'fleet' });
  expect((await live.next('fleet-snapshot')).kind).toBe('fleet-snapshot');
  live.socket.close();
});

test('a message beyond the limit ends the socket', async () => {
  const live = await openSocket(asAdmin());
  live.socket.send('x'.repeat(16 * 1024 + 1));
  await live.closed;
  expect(live.socket.readyState).toBe(WebSocket.CLOSED);
});

test('a socket needs a session or the key, and of a session the right origin; signing out ends it', async () => {
  const opened = await fetch(`${collector.origin}/api/v1/session`, {
    method: 'POST',
    body: JSON.stringify({ key: collector.key }),
  });
  const cookie = (opened.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  await expect(openSocket({})).rejects.toThrow('Cannot open');
  await expect(openSocket({ Authorization: `Bearer ${host.token}` })).rejects.toThrow('Cannot open');
  await expect(openSocket({ Cookie: cookie })).rejects.toThrow('Cannot open');
  await expect(openSocket({ Cookie: cookie, Origin: 'http://evil.example' })).rejects.toThrow('Cannot open');
  const live = await openSocket({ Cookie: cookie, Origin: collector.origin });
  const out = await fetch(`${collector.origin}/api/v1/session`, {
    method: 'DELETE',
    headers: { Cookie: cookie, Origin: collector.origin },
  });
  expect(out.status).toBe(204);
  await live.closed;
  expect(live.socket.readyState).toBe(WebSocket.CLOSED);
});

test('cookies of other programs do not keep the live view from opening, nor do they sign anybody in', async () => {
  const opened = await fetch(`${collector.origin}/api/v1/session`, {
    method: 'POST',
    body: JSON.stringify({ key: collector.key }),
  });
  const cookie = (opened.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  const others = Array.from({ length: 6 }, (_, i) => `other${i}=${'x'.repeat(1500)}`).join('; ');
  const live = await openSocket({ Cookie: `${others}; ${cookie}`, Origin: collector.origin });
  live.ask({ kind: 'subscribe', topic: 'fleet' });
  expect((await live.next('fleet-snapshot')).kind).toBe('fleet-snapshot');
  live.socket.close();
  const otherPort = cookie.replace(/session_\d+/, 'session_1');
  await expect(openSocket({ Cookie: otherPort, Origin: collector.origin })).rejects.toThrow('Cannot open');
});

test('a page that reads nothing for a while costs little and then gets the newest state', async () => {
  const { hostname, port } = new URL(collector.origin);
  const raw = connect(Number(port), hostname);
  const key = Buffer.alloc(16).toString('base64');
  raw.write(
    `GET /live HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${collector.key}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  let text = '';
  raw.on('data', (chunk) => (text += chunk.toString()));
  await until('the handshake', () => text.includes('101 Switching') || null);
  raw.write(maskFrame('{"kind":"subscribe","topic":"host/web-1"}'));
  await until('the snapshot', () => text.includes('host-snapshot') || null);
  raw.pause();
  text = '';
  // 100 batches of 1,000 series are about 13 MB of patches: more than the buffers on the way hold.
  const push = async (seq: number): Promise<number> => {
    const samples = Array.from(
      { length: 1000 },
      (_, i) => ['m.gauge', `i=${i},some.text=${'x'.repeat(60)}`, seq] as const,
    );
    return (await collector.push(host.token, encodeBatch(makeTestBatch(seq, nowMs + 10_000 + seq, samples)))).status;
  };
  // Three at a time: a host may have a few requests under way.
  for (let seq = 0; seq < 99; seq += 3) await Promise.all([push(seq), push(seq + 1), push(seq + 2)]);
  expect(await push(99)).toBe(200);
  raw.resume();
  await until('a snapshot of the newest state', () => {
    const at = text.lastIndexOf('host-snapshot');
    return (at >= 0 && text.includes('"value":99,', at)) || null;
  });
  const received = (text.match(/"kind":"host-patch"/g) ?? []).length;
  expect(received).toBeLessThan(100);
  raw.destroy();
}, 60_000);

/** A text frame as a browser sends it, masked (RFC 6455, section 5.2); here with a mask of zeros. */
function maskFrame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

/** A socket that takes nothing in until it is told to: what a page on a bad line looks like from here. */
function makeSlowSocket() {
  const sent: LiveMessage[] = [];
  const state = { bufferedBytes: 0 };
  const socket: LiveSocket = {
    session: null,
    send: (text) => void sent.push(JSON.parse(text)),
    bufferedBytes: () => state.bufferedBytes,
    end: () => undefined,
  };
  return { socket, sent, state };
}

function openTestHub() {
  const latest = makeLatest({ find: findAbout, version: () => 0 });
  for (let i = 1; i <= TOPICS_MAX + 1; i += 1) latest.addHost(`web-${i}`, `web-${i}`, null);
  const hub = openLiveHub(latest, () => 1000);
  const push = (seq: number): void => {
    const batch = makeTestBatch(seq, seq * 1000, [['system.cpu.utilization', '', seq / 100]]);
    hub.hostChanged('web-1', latest.apply('web-1', batch, 1000));
  };
  return { hub, push };
}

test('a socket that is behind misses patches and gets the newest state when it has caught up', () => {
  const { hub, push } = openTestHub();
  const { socket, sent, state } = makeSlowSocket();
  hub.opened(socket);
  hub.received(socket, '{"kind":"subscribe","topic":"host/web-1"}');
  push(1);
  state.bufferedBytes = 1_000_000;
  push(2);
  push(3);
  state.bufferedBytes = 100_000;
  hub.drained(socket);
  push(4);
  state.bufferedBytes = 0;
  hub.drained(socket);
  push(5);
  hub.close();
  expect(sent.map((message) => [message.kind, 'seq' in message ? message.seq : NaN])).toEqual([
    ['host-snapshot', 0],
    ['host-patch', 1],
    ['host-snapshot', 4],
    ['host-patch', 5],
  ]);
  expect(sent[2]).toMatchObject({ row: { cpuRatio: 0.04 } });
});

test('a socket that asks again and again without reading is told once', () => {
  const { hub } = openTestHub();
  const { socket, sent, state } = makeSlowSocket();
  hub.opened(socket);
  for (let i = 0; i < 100; i += 1) {
    hub.received(socket, '{"kind":"subscribe","topic":"host/web-1"}');
    state.bufferedBytes = 1_000_000;
  }
  expect(sent.length).toBe(1);
  state.bufferedBytes = 0;
  hub.drained(socket);
  hub.close();
  expect(sent.length).toBe(2);
});

test('a socket follows a bounded number of topics', () => {
  const { hub } = openTestHub();
  const { socket, sent } = makeSlowSocket();
  hub.opened(socket);
  for (let i = 1; i <= TOPICS_MAX + 1; i += 1) hub.received(socket, `{"kind":"subscribe","topic":"host/web-${i}"}`);
  hub.close();
  expect(sent.filter(({ kind }) => kind === 'host-snapshot').length).toBe(TOPICS_MAX);
  expect(sent.at(-1)).toMatchObject({ kind: 'refused', code: 'too-many-topics' });
});

test('a socket that closed is told nothing', () => {
  const { hub, push } = openTestHub();
  const { socket, sent } = makeSlowSocket();
  hub.opened(socket);
  hub.received(socket, '{"kind":"subscribe","topic":"host/web-1"}');
  hub.closed(socket);
  push(1);
  expect(sent.length).toBe(1);
  expect(hub.isWatched('web-1')).toBe(false);
  hub.received(socket, '{"kind":"subscribe","topic":"host/web-1"}');
  expect(hub.isWatched('web-1')).toBe(false);
  hub.close();
});
