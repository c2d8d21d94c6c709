import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { zstdDecompressSync } from 'node:zlib';

import { decodePush, makeBasis, type Basis } from '@muster/proto/basis';
import type { Batch } from '@muster/proto/batch';
import { ENROLL_PATH, UNKNOWN_BASIS } from '@muster/proto/push';

/**
 * How the stand-in treats a request; `lose` keeps it and cuts the connection instead of answering, `restart` has
 * forgotten what batches are told beside, and treats it so. `early` is a collector of before there was such a thing.
 */
export type Manner =
  | { readonly kind: 'accept'; readonly everyMs?: number }
  | { readonly kind: 'answer'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly kind: 'late'; readonly delayMs: number }
  | { readonly kind: 'held'; readonly until: Promise<void> }
  | { readonly kind: 'hang' | 'cut' | 'lose' | 'restart' | 'early' };

export type StandIn = {
  readonly url: string;
  /** What was kept, in the order of arrival, repetitions included. */
  readonly batches: readonly Batch[];
  /** How each of them was told. */
  readonly tellings: readonly ('full' | 'brief')[];
  readonly requests: readonly { readonly path: string; readonly authorization: string; readonly body: Buffer }[];
  /** How the following requests are treated, one each; then every one is accepted. */
  readonly expect: (...manners: readonly Manner[]) => void;
  /** Resolves as soon as the condition holds; it is looked at after every request. */
  readonly until: (condition: () => boolean) => Promise<void>;
  readonly close: () => Promise<void>;
};

const ACCEPT: Manner = { kind: 'accept' };
const REFUSAL = { error: { code: UNKNOWN_BASIS, message: 'as the test wants it' } };

/** A collector that keeps what it is sent in memory, and misbehaves on demand. Port 0 is any free one. */
export async function openStandIn(port = 0): Promise<StandIn> {
  const keeper = makeKeeper();
  const requests: { path: string; authorization: string; body: Buffer }[] = [];
  const manners: Manner[] = [];
  const waiting = new Set<() => void>();

  const server = createServer((request, response) => {
    void handle(request, response).finally(() => {
      for (const look of waiting) look();
    });
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    const path = request.url ?? '';
    requests.push({ path, authorization: request.headers.authorization ?? '', body });
    const manner = manners.shift() ?? ACCEPT;
    if (manner.kind === 'hang') return;
    if (manner.kind === 'answer') {
      response.writeHead(manner.status, { 'content-type': 'application/json', ...manner.headers });
      response.end(JSON.stringify({ error: { code: 'test', message: 'as the test wants it' } }));
      return;
    }
    if (manner.kind === 'cut') {
      request.socket.destroy();
      return;
    }
    if (manner.kind === 'late') await setTimeout(manner.delayMs);
    if (manner.kind === 'held') await manner.until;
    if (manner.kind === 'restart') keeper.forget();
    const isPlain = request.headers['content-encoding'] === undefined;
    const inflated = path === ENROLL_PATH || isPlain ? body : zstdDecompressSync(body);
    const reply =
      path === ENROLL_PATH ? { host: 'host-1', token: 'token-1' } : keeper.keep(inflated, manner.kind === 'early');
    if (reply === null) response.statusCode = manner.kind === 'early' ? 400 : 409;
    const everyMs = manner.kind === 'accept' && manner.everyMs !== undefined ? { everyMs: manner.everyMs } : {};
    if (manner.kind === 'lose') request.socket.destroy();
    else response.end(JSON.stringify(reply === null ? REFUSAL : { ...reply, ...everyMs }));
  }

  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = server.address() as AddressInfo; // not a pipe: it listens on a port
  return {
    url: `http://127.0.0.1:${address.port}`,
    batches: keeper.batches,
    tellings: keeper.tellings,
    requests,
    expect: (...next) => void manners.push(...next),
    until: (condition) =>
      new Promise((resolve) => {
        const look = () => {
          if (!condition()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What a collector keeps: the batches, and what the next one may be told beside. */
function makeKeeper() {
  const batches: Batch[] = [];
  const tellings: ('full' | 'brief')[] = [];
  let basis: Basis | null = null;
  return {
    batches,
    tellings,
    forget: (): void => {
      basis = null;
    },
    /** null: it is wanted in full. */
    keep: (body: Buffer, isEarly: boolean): Readonly<Record<string, unknown>> | null => {
      const pushed = decodePush(body, isEarly ? null : basis);
      if (!pushed.ok && pushed.error.kind === 'unknown-basis') return null;
      if (!pushed.ok) throw new Error(JSON.stringify(pushed.error));
      const { batch, beside } = pushed.value;
      batches.push(batch);
      tellings.push(beside === null ? 'full' : 'brief');
      if (isEarly) return { ack: batch.seq };
      const isKept = batch.keep === true;
      if (isKept) basis = makeBasis(batch, beside, (bytes) => createHash('sha256').update(bytes).digest());
      return { ack: batch.seq, nowMs: Date.now(), heldMs: 0, ...(isKept ? { kept: true } : {}) };
    },
  };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer); // no encoding is set
  return Buffer.concat(chunks);
}
