import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer as createHttpServer, request } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import { afterEach, expect, test } from 'vitest';

import { resetSocket, type FaultEvent } from './fault-connection.ts';
import { NO_FAULTS, planConnection, type Faults } from './fault-plan.ts';
import { openFaultProxy, type FaultProxy, type FaultProxyOptions } from './fault-proxy.ts';
import { until } from '../until.ts';

const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket.on('error', () => undefined)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}

/** A server that keeps what each connection sends, and answers with the same. */
async function openEcho(): Promise<{ port: number; received: Buffer[]; sockets: Socket[] }> {
  const received: Buffer[] = [];
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const index = sockets.push(socket) - 1;
    received[index] = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => (received[index] = Buffer.concat([received[index] ?? chunk, chunk])));
    socket.pipe(socket);
  });
  return { port: await listen(server), received, sockets };
}

async function openProxy(
  options: Partial<FaultProxyOptions> & Pick<FaultProxyOptions, 'upstream'>,
): Promise<FaultProxy> {
  const proxy = await openFaultProxy({ seed: 7, ...options });
  closing.push(async () => {
    await proxy.close();
    expect(proxy.open()).toBe(0);
  });
  return proxy;
}

type Ended = { readonly bytes: Buffer; readonly code: string | null };

/** Sends bytes, reads to the end; `code` is the error that ended it. */
function exchange(port: number, bytes: Buffer): { socket: Socket; ended: Promise<Ended> } {
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  let code: string | null = null;
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', (error: Error & { code?: string }) => (code = error.code ?? error.message));
  socket.end(bytes);
  const ended = new Promise<Ended>((resolve) => {
    socket.once('close', () => resolve({ bytes: Buffer.concat(chunks), code }));
  });
  return { socket, ended };
}

test.for([
  ['no faults', {}, 8 * 1024 * 1024],
  ['latency', { latencyMs: 20, jitterMs: 20 }, 8 * 1024 * 1024],
  ['a throttle', { throttleBytesPerSecond: 1024 * 1024 }, 300_000],
  ['both', { latencyMs: 10, throttleBytesPerSecond: 1024 * 1024 }, 300_000],
] as const)('a stream arrives byte for byte with %s', async ([, faults, size]) => {
  const echo = await openEcho();
  const proxy = await openProxy({ upstream: echo, faults });
  const bytes = randomBytes(size);
  const [one, other] = await Promise.all([exchange(proxy.port, bytes).ended, exchange(proxy.port, bytes).ended]);
  expect([one.code, one.bytes.equals(bytes), other.code, other.bytes.equals(bytes)]).toEqual([null, true, null, true]);
  expect(echo.received.every((received) => received.equals(bytes))).toBe(true);
  expect(proxy.stats).toMatchObject({ connections: 2, requestBytes: 2 * size, replyBytes: 2 * size });
  await expect.poll(proxy.open).toBe(0);
});

test('a server that does not read holds the client back', async () => {
  const deaf: Socket[] = [];
  const port = await listen(createServer({ pauseOnConnect: true }, (socket) => void deaf.push(socket)));
  const proxy = await openProxy({ upstream: { port } });
  const bytes = Buffer.alloc(64 * 1024 * 1024);
  const { socket } = exchange(proxy.port, bytes);
  // Until nothing moves any more: the kernel's buffers are full, and so is what the proxy will hold.
  let takenBytes = -1;
  await until('the stream to stand still', () => {
    const moved = proxy.stats.requestBytes - takenBytes;
    takenBytes = proxy.stats.requestBytes;
    return moved === 0 && takenBytes > 0 ? true : null;
  });
  expect(takenBytes).toBeLessThan(bytes.length / 2);
  let received = 0;
  deaf[0]?.on('data', (chunk: Buffer) => (received += chunk.length)).resume();
  await expect.poll(() => received, { timeout: 10_000 }).toBe(bytes.length);
  socket.destroy();
});

test('a cut connection has carried exactly the bytes up to the cut', async () => {
  const echo = await openEcho();
  const happened: FaultEvent[] = [];
  const faults = { cut: 1, cutBytesMax: 50_000 };
  const proxy = await openProxy({ upstream: echo, faults, onFault: (event) => void happened.push(event) });
  const bytes = randomBytes(100_000);
  for (let i = 0; i < 8; i += 1) {
    const ended = await exchange(proxy.port, bytes).ended;
    const event = happened[i];
    const planned = planConnection(7, i, { ...NO_FAULTS, ...faults }).trips[0];
    expect(event).toMatchObject({ connection: i, kind: 'cut', way: planned?.way, after: planned?.afterBytes });
    const arrived = event?.way === 'request' ? echo.received[i] : ended.bytes;
    await expect.poll(() => arrived?.equals(bytes.subarray(0, event?.after))).toBe(true);
  }
  expect(new Set(happened.map(({ way }) => way)).size).toBe(2);
  expect(proxy.stats.faults.cut).toBe(8);
});

test('a connection is cut after a time, though nothing is sent', async () => {
  const echo = await openEcho();
  const proxy = await openProxy({ upstream: echo, faults: { cut: 1, cutMsMax: 50 } });
  const socket = connect(proxy.port, '127.0.0.1');
  await once(socket, 'close');
  expect(proxy.stats.faults.cut).toBe(1);
});

test('a reset reaches both sides', async () => {
  const echo = await openEcho();
  const happened: FaultEvent[] = [];
  const faults = { reset: 1, resetBytesMax: 1000 };
  const proxy = await openProxy({ upstream: echo, faults, onFault: (event) => void happened.push(event) });
  for (let i = 0; i < 6; i += 1) {
    const { bytes, code } = await exchange(proxy.port, randomBytes(100_000)).ended;
    const { way, after } = happened[i] ?? {};
    // After some bytes Node's sockets take a reset for an end.
    expect([code, bytes.length]).toEqual(way === 'request' ? ['ECONNRESET', 0] : [null, after]);
  }
  expect(new Set(happened.map(({ way }) => way)).size).toBe(2);
  await expect.poll(() => echo.sockets.every(({ destroyed }) => destroyed)).toBe(true);
  expect(proxy.stats.faults.reset).toBe(6);
});

test('a half-open connection stays open, and one way of it is silent', async () => {
  const echo = await openEcho();
  const faults = { halfOpen: 1, halfOpenBytesMax: 1, halfOpenMs: 60_000 };
  const proxy = await openProxy({ upstream: echo, faults });
  const socket = connect(proxy.port, '127.0.0.1');
  closing.push(async () => void socket.destroy());
  let heard = '';
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  socket.write('hello');
  await expect.poll(() => proxy.stats.faults['half-open']).toBe(1);
  const { way } = planConnection(7, 0, { ...NO_FAULTS, ...faults }).trips[0] ?? {};
  socket.write(', hello?');
  await expect.poll(() => echo.received.map(String)).toEqual([way === 'request' ? 'h' : 'hello, hello?']);
  await expect.poll(() => heard).toBe('h');
  expect([socket.destroyed, echo.sockets[0]?.destroyed]).toEqual([false, false]);
});

test.for([
  ['before', (): undefined => undefined],
  ['in the middle of', (socket: Socket) => socket.end()],
  ['in the middle of, with bytes before,', (socket: Socket) => socket.end(Buffer.alloc(8 * 1024 * 1024))],
] as const)('resetSocket() %s a goodbye closes the socket', async ([, begin]) => {
  const peers: Socket[] = [];
  const port = await listen(createServer({ pauseOnConnect: true }, (socket) => void peers.push(socket)));
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const errors: Error[] = [];
  socket.on('error', (error) => errors.push(error));
  await once(socket, 'connect');
  await expect.poll(() => peers.length).toBe(1);
  begin(socket);
  resetSocket(socket);
  await once(socket, 'close');
  expect(errors).toEqual([]);
  // The other side may hear of an error, and has an end of it in any case.
  peers[0]?.resume();
  await expect.poll(() => peers[0]?.destroyed).toBe(true);
});

test('the time of a half-open connection ends with a reset', async () => {
  const echo = await openEcho();
  const proxy = await openProxy({ upstream: echo, faults: { halfOpen: 1, halfOpenBytesMax: 1, halfOpenMs: 20 } });
  expect((await exchange(proxy.port, randomBytes(1000)).ended).code).toBe('ECONNRESET');
  await expect.poll(proxy.open).toBe(0);
});

/** A server of HTTP that counts what it was asked. */
async function openCounter(): Promise<{ port: number; paths: string[] }> {
  const paths: string[] = [];
  const server = createHttpServer((incoming, response) => {
    void text(incoming).then((body) => {
      paths.push(`${incoming.url}${body}`);
      response.end('x'.repeat(100_000));
    });
  });
  return { port: await listen(server), paths };
}

/** Asks once on a kept connection; the status and how much came, or null where there was no answer. */
async function ask(agent: Agent, port: number, body: string): Promise<number | null> {
  const asking = request({ agent, port, host: '127.0.0.1', method: 'POST', path: '/' });
  asking.end(body);
  return new Promise((resolve) => {
    asking.once('error', () => resolve(null));
    asking.once('response', (response) => {
      text(response).then(
        (answer) => resolve(answer.length),
        () => resolve(null),
      );
    });
  });
}

test('a dropped reply: the server has had the request whole, the client learns nothing', async () => {
  const counter = await openCounter();
  const happened: FaultEvent[] = [];
  const faults = { dropReplies: 0.2 };
  const proxy = await openProxy({ upstream: counter, faults, onFault: (event) => void happened.push(event) });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const answers: (number | null)[] = [];
  for (let i = 0; i < 200; i += 1) answers.push(await ask(agent, proxy.port, String(i)));
  agent.destroy();
  expect(counter.paths).toEqual(Array.from({ length: 200 }, (_, i) => `/${i}`));
  const dropped = answers.filter((answer) => answer === null).length;
  expect(answers.filter((answer) => answer === 100_000).length).toBe(200 - dropped);
  expect(proxy.stats).toMatchObject({ replies: 200, connections: dropped + (answers.at(-1) === null ? 0 : 1) });
  expect([proxy.stats.faults['drop-reply'], happened.length]).toEqual([dropped, dropped]);
  expect(dropped).toBeGreaterThan(20);
  expect(dropped).toBeLessThan(60);
  // Replies before the one that was dropped went through on the same connection.
  expect(happened.some(({ after = 0 }) => after > 1)).toBe(true);
});

test('the same seed does the same harm, another seed does other', async () => {
  const counter = await openCounter();
  const faults: Partial<Faults> = { dropReplies: 0.1, cut: 0.3, cutBytesMax: 300_000, reset: 0.2, resetBytesMax: 1000 };
  const run = async (seed: number): Promise<readonly FaultEvent[]> => {
    const happened: FaultEvent[] = [];
    const proxy = await openProxy({ upstream: counter, seed, faults, onFault: (event) => void happened.push(event) });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 60; i += 1) await ask(agent, proxy.port, 'x'.repeat(100));
    agent.destroy();
    return happened;
  };
  const first = await run(11);
  expect(first.length).toBeGreaterThan(5);
  expect(await run(11)).toEqual(first);
  expect(await run(12)).not.toEqual(first);
});

test('planConnection() keeps each fault where it is when another is switched on', () => {
  const alone = planConnection(3, 5, { ...NO_FAULTS, reset: 1 }).trips;
  const all = planConnection(3, 5, { ...NO_FAULTS, reset: 1, cut: 1, halfOpen: 1, latencyMs: 5, jitterMs: 5 }).trips;
  expect(all.filter(({ kind }) => kind === 'reset')).toEqual(alone);
  expect(all.map(({ kind }) => kind)).toEqual(['cut', 'reset', 'half-open']);
});

test('an outage by refusal resets what is open and ends what comes', async () => {
  const echo = await openEcho();
  const proxy = await openProxy({ upstream: echo });
  const before = connect(proxy.port, '127.0.0.1');
  before.write('hello');
  await once(before, 'data');
  const reset = once(before, 'error');
  proxy.partition('refuse');
  expect((await reset)[0]).toMatchObject({ code: 'ECONNRESET' });
  expect((await exchange(proxy.port, Buffer.from('hello')).ended).bytes.length).toBe(0);
  proxy.partition(null);
  expect((await exchange(proxy.port, Buffer.from('hello')).ended).bytes.toString()).toBe('hello');
  expect(proxy.stats.faults.refuse).toBe(1);
});

test('an outage by silence lets nothing through, and resets what it held when it ends', async () => {
  const echo = await openEcho();
  const proxy = await openProxy({ upstream: echo });
  const before = connect(proxy.port, '127.0.0.1');
  before.write('hello');
  await once(before, 'data');
  proxy.partition('silence');
  before.write('lost');
  const during = exchange(proxy.port, Buffer.from('lost'));
  await expect.poll(() => proxy.stats.faults.silence).toBe(1);
  expect([before.destroyed, echo.received.map(String)]).toEqual([false, ['hello']]);
  const reset = once(before, 'error');
  proxy.partition(null);
  expect((await reset)[0]).toMatchObject({ code: 'ECONNRESET' });
  expect(await during.ended).toMatchObject({ code: 'ECONNRESET' });
  expect((await exchange(proxy.port, Buffer.from('again')).ended).bytes.toString()).toBe('again');
  expect(echo.received.map(String)).toEqual(['hello', 'again']);
});

test('a server that is away is unreachable, until it is back on another port', async () => {
  const gone = createServer();
  gone.listen(0, '127.0.0.1');
  await once(gone, 'listening');
  const { port } = gone.address() as AddressInfo;
  gone.close();
  const proxy = await openProxy({ upstream: { port } });
  expect((await exchange(proxy.port, Buffer.from('hello')).ended).bytes.length).toBe(0);
  expect(proxy.stats.faults.unreachable).toBe(1);
  proxy.retarget((await openEcho()).port);
  expect((await exchange(proxy.port, Buffer.from('hello')).ended).bytes.toString()).toBe('hello');
});

test('the program: its faults as lines, its figures at the end', async () => {
  const echo = await openEcho();
  const program = join(import.meta.dirname, '../fault-proxy.ts');
  const args = ['--to', String(echo.port), '--seed', '7', '--reset', '1', '--reset-bytes-max', '1'];
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  closing.push(async () => void child.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  const ended = once(child, 'close');
  const port = await until('its port', () => /^127\.0\.0\.1:(\d+) leads/.exec(lines[0] ?? '')?.[1] ?? null);
  await exchange(Number(port), Buffer.from('hello')).ended;
  await expect.poll(() => lines.length).toBe(2);
  child.kill('SIGTERM');
  expect((await ended)[0]).toBe(0);
  expect(lines[1]).toMatch(/^\{"connection":0,"kind":"reset","way":"(request|reply)","after":1\}$/);
  expect(JSON.parse(lines[2] ?? '')).toMatchObject({ connections: 1, faults: { reset: 1 } });
});
