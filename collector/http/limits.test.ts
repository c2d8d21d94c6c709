import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { encodeBatch } from '@muster/proto/batch';
import { BODY_BYTES_MAX, INGEST_PATH } from '@muster/proto/push';

import { openFaultProxy } from '../../scripts/fault-proxy/fault-proxy.ts';
import { openWire, type WireAnswer } from '../../scripts/wire.ts';
import { encodeCpu, makeTestBatch, openTestCollector, type TestCollector } from '../test-collector.ts';
import { HOST_REQUESTS_MAX, makePatience, VAIN_BYTES_MAX } from './patience.ts';
import { makeStrangers, STRANGERS_MAX } from './strangers.ts';

let collector: TestCollector;
let good: string;
let machines = 0;

beforeAll(async () => {
  collector = await openTestCollector();
  good = await enroll();
});

afterAll(() => collector.close());

async function enroll(): Promise<string> {
  machines += 1;
  return (await collector.enroll(`host-${machines}`, String(machines).padStart(64, '0'))).token;
}

const nowMs = Math.floor(Date.now() / 1000) * 1000;

function writeHead(token: string, length: number, more: readonly string[] = []): Buffer {
  const lines = [
    `POST ${INGEST_PATH} HTTP/1.1`,
    'Host: a',
    `Authorization: Bearer ${token}`,
    'Content-Type: application/x-msgpack',
    `Content-Length: ${length}`,
    ...more,
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
}

/** A connection that sends this and no more, and what it has heard. */
function openSlow(beginning: string | Buffer, port = collector.port): { socket: Socket; heard: () => string } {
  let heard = '';
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  if (beginning.length > 0) socket.write(beginning);
  return { socket, heard: () => heard };
}

const zeros = Buffer.alloc(64 * 1024 * 1024);
const frame = zstdCompressSync(Buffer.alloc(1024 * 1024));

function gzipThatLies(): Buffer {
  const body = gzipSync(zeros);
  body.writeUInt32LE(100, body.length - 4);
  return body;
}

/** A frame of zstd that asks its reader for a window of 128 MiB (RFC 8878, section 3.1.1.1.2). */
const WIDE = Buffer.from('28b52ffd 00 88 010000'.replaceAll(' ', ''), 'hex');

test.for([
  ['zstd of zeros', 'zstd', zstdCompressSync(zeros), 413],
  ['zstd of many frames', 'zstd', Buffer.concat([frame, frame, frame, frame, frame]), 413],
  ['zstd that wants a wide window', 'zstd', WIDE, 400],
  ['gzip of zeros', 'gzip', gzipSync(zeros), 413],
  ['gzip that says it is small', 'gzip', gzipThatLies(), 413],
  ['arrays in one another', 'identity', Buffer.alloc(1_000_000, 0x91), 400],
  ['arrays in one another, compressed', 'zstd', zstdCompressSync(Buffer.alloc(1_000_000, 0x91)), 400],
  ['binary of 4 GB', 'identity', Buffer.from('c6ffffffff', 'hex'), 400],
  ['a string of 4 GB', 'identity', Buffer.from('dbffffffff', 'hex'), 400],
  ['4 billion values', 'identity', Buffer.from('ddffffffff', 'hex'), 400],
  ['4 billion pairs', 'identity', Buffer.from('dfffffffff', 'hex'), 400],
] as const)(
  'many of %s at once are refused, and what a neighbour sends is stored',
  async ([, encoding, body, status]) => {
    const token = await enroll();
    const wires = Array.from({ length: 50 }, () => openWire(collector.port));
    const asking = wires.map((wire) =>
      wire.ask([writeHead(token, body.length, [`Content-Encoding: ${encoding}`]), body]),
    );
    const neighbour = collector.push(good, encodeCpu(1, nowMs, 0.5));
    const answers = new Set((await Promise.all(asking)).map((answer: WireAnswer) => answer?.status));
    for (const wire of wires) wire.close();
    expect(answers).toContain(status);
    expect([...answers].filter((answer) => answer !== status && answer !== 429)).toEqual([]);
    expect((await neighbour).status).toBe(200);
  },
);

test('a host may have a few requests under way; one more is told to wait, and others are not', async () => {
  const token = await enroll();
  const body = encodeCpu(7, nowMs, 0.5);
  // Told to go on, a client knows that its request is under way.
  const head = writeHead(token, body.length, ['Expect: 100-continue']);
  const slow = Array.from({ length: HOST_REQUESTS_MAX }, () => openSlow(head));
  await expect.poll(() => slow.every(({ heard }) => heard().startsWith('HTTP/1.1 100'))).toBe(true);
  const refused = await collector.push(token, body);
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '2']);
  expect((await collector.push(good, encodeCpu(2, nowMs, 0.5))).status).toBe(200);
  // One is given up, the others come to their end; then there is room.
  slow[0]?.socket.destroy();
  for (const { socket } of slow.slice(1)) socket.write(body);
  await expect.poll(() => slow.slice(1).every(({ heard }) => heard().includes('{"ack":7,'))).toBe(true);
  await expect.poll(async () => (await collector.push(token, body)).status, { timeout: 10_000 }).toBe(200);
  for (const { socket } of slow) socket.destroy();
});

test('makePatience() lets a host send so much in vain, and no more within a second', () => {
  let atMs = 1_000;
  const patience = makePatience(() => atMs);
  const send = (host: string, vainBytes: number): boolean => {
    if (patience.begin(host) !== null) return false;
    patience.end(host, vainBytes);
    return true;
  };
  expect([send('a', VAIN_BYTES_MAX - 1), send('a', 1), send('a', 0), send('b', 0)]).toEqual([true, true, false, true]);
  atMs += 999;
  expect(send('a', 0)).toBe(false);
  atMs += 1;
  expect([send('a', VAIN_BYTES_MAX), send('a', 0)]).toEqual([true, false]);
  // A clock that is set back must not shut a host out for longer.
  atMs -= 100_000;
  expect(send('a', 0)).toBe(true);
});

test('connections that do not say who they are: the oldest is cut when there are too many, and no known one', async () => {
  const known = openWire(collector.port);
  const ask = () => known.ask([writeHead(good, 3), Buffer.from('abc')]);
  expect((await ask())?.status).toBe(400);
  const silent: Socket[] = [];
  for (let opened = 0; opened < STRANGERS_MAX; opened += 100) {
    const more = Array.from({ length: 100 }, () => openSlow(opened % 200 === 0 ? '' : 'POST / HTTP/1.1\r\nX: ').socket);
    await Promise.all(more.map((socket) => once(socket, 'connect')));
    silent.push(...more);
  }
  const isOpen = (socket: Socket): boolean => !socket.destroyed;
  const late = Array.from({ length: 5 }, () => openSlow('').socket);
  await expect.poll(() => silent.filter(isOpen).length).toBeLessThanOrEqual(STRANGERS_MAX - late.length);
  expect(silent.slice(10).every(isOpen)).toBe(true);
  expect(late.every(isOpen)).toBe(true);
  // Whoever is honest says who it is at once, and stays.
  expect((await collector.push(good, encodeCpu(3, nowMs, 0.5))).status).toBe(200);
  expect((await ask())?.status).toBe(400);
  for (const socket of [...silent, ...late]) socket.destroy();
  expect(collector.lines.filter((line) => line.includes('"reason":"too-many-unknown"')).length).toBe(1);
  known.close();
});

test('makeStrangers() forgets those that leave', async () => {
  const strangers = makeStrangers(() => undefined);
  const { socket } = openSlow('');
  strangers.arrive(socket);
  strangers.trust(undefined);
  expect(strangers.count()).toBe(1);
  socket.destroy();
  await expect.poll(strangers.count).toBe(0);
});

test('makeStrangers() sets one aside for a while, and makes no stranger of a known one', () => {
  const strangers = makeStrangers(() => undefined);
  const arrive = (): Socket => {
    const socket = new Socket();
    strangers.arrive(socket);
    return socket;
  };
  const [first, known] = [arrive(), arrive()];
  strangers.trust(known);
  const ends = [strangers.setAside(first), strangers.setAside(known)];
  for (let i = 0; i < STRANGERS_MAX; i += 1) arrive();
  expect([first.destroyed, known.destroyed, strangers.count()]).toEqual([false, false, STRANGERS_MAX]);
  for (const end of ends) end();
  strangers.trust(first);
  expect([first.destroyed, known.destroyed, strangers.count()]).toEqual([false, false, STRANGERS_MAX - 1]);
});

test('a body at the limit gets through a line of 1 Mbit/s', { timeout: 60_000 }, async () => {
  const proxy = await openFaultProxy({
    upstream: { port: collector.port },
    seed: 1,
    faults: { throttleBytesPerSecond: 125_000 },
  });
  const samples = Array.from({ length: 600 * 200 }, () => randomBytes(1).readUInt8() / 256);
  const batch = {
    ...makeTestBatch(9, nowMs, []),
    ticksMs: Array.from({ length: 600 }, (_, tick) => nowMs - (600 - tick) * 1000),
    series: Array.from({ length: 200 }, (_, cpu) => ['system.cpu.utilization', `cpu=${cpu}`] as const),
    values: Float64Array.from(samples),
  };
  const body = encodeBatch(batch);
  expect(body.length).toBeGreaterThan(BODY_BYTES_MAX * 0.9);
  expect(body.length).toBeLessThanOrEqual(BODY_BYTES_MAX);
  const wire = openWire(proxy.port);
  expect((await wire.ask([writeHead(good, body.length), body]))?.body).toContain('{"ack":9,');
  wire.close();
  await proxy.close();
});
