import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib';

import { BATCH_CONTENT_TYPE, INGEST_PATH } from '@muster/proto/push';

import { counted, nested } from './fuzz-message.ts';
import { openWire } from './wire.ts';

export type Target = { readonly port: number; readonly token: string };

/** What became of the bombs of one kind: `outcomes` by status or by how a connection ended, times to that in ms. */
export type Blast = {
  readonly outcomes: Readonly<Record<string, number>>;
  readonly refusedMs: readonly number[];
  /** Slow connections that were still open at the end. */
  readonly held: number;
};

/** `prepare` makes everything ready; what it resolves with sends it. */
export type Bomb = { readonly name: string; readonly prepare: (target: Target) => Promise<() => Promise<Blast>> };

/** So many at once, each on a connection of its own, again and again. */
const CONNECTIONS = 200;
const BURSTS = 10;
/** Between two bursts: the collector commits, and its agents get their answers. */
const PAUSE_MS = 200;
const SLOW_SOCKETS = 10_000;
/** How many slow sockets are being opened at a time, half as many as a listening socket takes in its queue. */
const OPENING = 250;
/** How long slow sockets are watched once all are open. */
const HELD_MS = 3_000;

const ZEROS_BYTES = 512 * 1024 * 1024;

/** Everything of small size and great weight, as requests and as slow sockets. */
export function makeBombs(): readonly Bomb[] {
  const gigabytes = [0xc6, 0xdb, 0xdd, 0xdf] as const; // bin 32, str 32, array 32, map 32
  const nest = nested(1_000_000);
  return [
    bodyBomb('zstd of 512 MB zeros', 'zstd', async () => zstdCompressSync(Buffer.alloc(ZEROS_BYTES))),
    bodyBomb('zstd of 512 MB zeros, size unsaid', 'zstd', zstdUnsaid),
    bodyBomb('zstd of 4,000 frames', 'zstd', async () => {
      const frame = zstdCompressSync(Buffer.alloc(128 * 1024));
      return Buffer.concat(Array.from({ length: 4_000 }, () => frame));
    }),
    bodyBomb('gzip of 512 MB zeros', 'gzip', async () => gzipSync(Buffer.alloc(ZEROS_BYTES))),
    bodyBomb('gzip, its size a lie', 'gzip', async () => {
      const body = gzipSync(Buffer.alloc(16 * 1024 * 1024));
      body.writeUInt32LE(100, body.length - 4);
      return body;
    }),
    bodyBomb('1 M nested arrays', null, async () => nest),
    bodyBomb('1 M nested arrays, zstd', 'zstd', async () => zstdCompressSync(nest)),
    ...gigabytes.map((type) =>
      bodyBomb(`4 GB length, type 0x${type.toString(16)}`, null, async () => counted(type, 0xffff_ffff)),
    ),
    slowBomb('slow: says nothing', () => ''),
    slowBomb('slow: headers without an end', () => `POST ${INGEST_PATH} HTTP/1.1\r\nHost: bomb\r\nX-Slow: `),
    slowBomb('slow: body without an end, no token', () => `${writeHead('wrong', 1000, null)}abc`),
    slowBomb('slow: body without an end, a token', ({ token }) => `${writeHead(token, 1000, null)}abc`),
    slowBomb('slow: Content-Length of 4 GB, a token', ({ token }) => writeHead(token, 4 * 2 ** 30, null)),
  ];
}

function writeHead(token: string, length: number, encoding: string | null): string {
  const lines = [
    `POST ${INGEST_PATH} HTTP/1.1`,
    'Host: bomb',
    `Authorization: Bearer ${token}`,
    `Content-Type: ${BATCH_CONTENT_TYPE}`,
    `Content-Length: ${length}`,
    ...(encoding === null ? [] : [`Content-Encoding: ${encoding}`]),
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function bodyBomb(name: string, encoding: string | null, makeBody: () => Promise<Buffer>): Bomb {
  return {
    name,
    async prepare({ port, token }) {
      const body = await makeBody();
      const head = Buffer.from(writeHead(token, body.length, encoding));
      return () => sendAll(port, [head, body]);
    },
  };
}

async function sendAll(port: number, request: readonly Uint8Array[]): Promise<Blast> {
  const outcomes: Record<string, number> = {};
  const refusedMs: number[] = [];
  const wires = Array.from({ length: CONNECTIONS }, () => openWire(port));
  for (let burst = 0; burst < BURSTS; burst += 1) {
    await Promise.all(
      wires.map(async (wire) => {
        const answer = await wire.ask(request);
        refusedMs.push(answer?.waitedMs ?? Infinity);
        count(outcomes, String(answer?.status ?? 'cut'));
      }),
    );
    await sleep(PAUSE_MS);
  }
  for (const wire of wires) wire.close();
  return { outcomes, refusedMs, held: 0 };
}

/** Sent as it is made, zstd cannot say how much it will be. */
async function zstdUnsaid(): Promise<Buffer> {
  const stream = createZstdCompress();
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const zeros = Buffer.alloc(1024 * 1024);
  for (let bytes = 0; bytes < ZEROS_BYTES; bytes += zeros.length) if (!stream.write(zeros)) await once(stream, 'drain');
  stream.end();
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

function slowBomb(name: string, write: (target: Target) => string): Bomb {
  return { name, prepare: async (target) => () => openAll(target.port, write(target)) };
}

/** Opens all the sockets, each of which sends this and no more. */
async function openAll(port: number, beginning: string): Promise<Blast> {
  const outcomes: Record<string, number> = {};
  const refusedMs: number[] = [];
  const open = new Set<Socket>();
  const openOne = async (): Promise<void> => {
    const socket = connect({ port, host: '127.0.0.1' });
    let startedMs = performance.now();
    // Before that it waits in the kernel, not with us.
    socket.once('connect', () => (startedMs = performance.now()));
    open.add(socket);
    const end = (outcome: string): void => {
      if (!open.delete(socket)) return;
      refusedMs.push(performance.now() - startedMs);
      count(outcomes, outcome);
    };
    socket.on('error', () => undefined); // 'close' follows
    socket.once('close', () => end('cut'));
    // The answer is the refusal; that the connection is kept for a moment does not count.
    socket.once('data', (chunk: Buffer) => end(chunk.toString('latin1', 9, 12)));
    socket.write(beginning);
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined);
  };
  for (let opened = 0; opened < SLOW_SOCKETS; opened += OPENING)
    await Promise.all(Array.from({ length: OPENING }, openOne));
  await sleep(HELD_MS);
  const held = open.size;
  for (const socket of open) socket.destroy();
  return { outcomes, refusedMs, held };
}

function count(outcomes: Record<string, number>, outcome: string): void {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}
