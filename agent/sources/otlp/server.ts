import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

import { ok, type Result } from '@muster/proto/result';

import type { Allowance } from '../../custom/allowance.ts';
import type { Refused } from '../../custom/intake.ts';
import type { Listener } from '../../custom/keep-listening.ts';
import { isLoopback, toFault, type Fault } from '../../custom/listen.ts';
import type { Point } from '../../custom/point.ts';
import {
  answerRefused,
  answerTaken,
  BODY_BYTES_MAX,
  judgeHead,
  decodeBody,
  TOO_LARGE,
  type Answer,
  type Encoding,
  type Refusing,
} from './answer.ts';

/** The services of one host, and some; an exporter keeps its connection. */
const CONNECTIONS_MAX = 64;
/** Bodies that are read at once, a mebibyte each. */
const BODIES_MAX = 4;
const HEADERS_MS_MAX = 5_000;
const REQUEST_MS_MAX = 10_000;
/** Longer than exporters wait between two exports, so that they need no new connection. */
const KEEP_MS = 75_000;
/** How soon to come again when too many come at once. */
const RETRY_SECONDS = 1;

export type ServerOptions = {
  readonly address: string;
  readonly port: number;
  /** What exports may take. */
  readonly allowance: Allowance;
  readonly take: (points: readonly Point[]) => Refused;
  /** With the status of each answer. */
  readonly onAnswer: (status: number) => void;
  readonly nowMs: () => number;
};

/** Takes OTLP exports of metrics over HTTP. */
export async function openServer(options: ServerOptions): Promise<Listener> {
  const { allowance, take, onAnswer, nowMs, ...address } = options;
  const isHost = makeHostCheck(address.address);
  let bodies = 0;
  let fault: Fault | null = null;
  let closed: Promise<void> | null = null;

  function refuse(response: ServerResponse, refusing: Refusing, { encoding, retrySeconds }: Manner): void {
    // The body that follows is not read; the connection ends with the answer.
    response.setHeader('connection', 'close');
    send(response, answerRefused(refusing, encoding, retrySeconds), onAnswer);
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    const encoding = judgeHead({ method, path: url.split('?', 1)[0] ?? '', headers }, isHost);
    if (!encoding.ok) return refuse(response, encoding.error, { encoding: formOf(headers['content-type']) });
    const manner = { encoding: encoding.value };
    if (allowance.isSpent()) {
      const retrySeconds = Math.max(1, Math.ceil(allowance.leftMs() / 1000));
      return refuse(response, TOO_MUCH, { ...manner, retrySeconds });
    }
    if (bodies >= BODIES_MAX) return refuse(response, TOO_MANY, { ...manner, retrySeconds: RETRY_SECONDS });
    bodies += 1;
    const body = await readAll(request).finally(() => {
      bodies -= 1;
    });
    if (body === null) return void request.destroy(); // it ended before its length
    if (!body.ok) return refuse(response, body.error, manner);
    const startedMs = nowMs();
    const points = decodeBody(body.value, encoding.value, headers['content-encoding'] === 'gzip');
    if (points.ok) send(response, answerTaken(encoding.value, take(points.value)), onAnswer);
    else refuse(response, points.error, manner);
    allowance.spend(nowMs() - startedMs);
  }

  const server = createServer(
    {
      maxHeaderSize: 16 * 1024,
      headersTimeout: HEADERS_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      keepAliveTimeout: KEEP_MS,
      connectionsCheckingInterval: HEADERS_MS_MAX,
    },
    (request, response) => {
      handle(request, response).catch(() => void request.destroy()); // whoever sent it has gone
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  fault = await listen(server, { host: address.address, port: address.port });
  server.on('error', (cause) => {
    fault ??= toFault(cause);
    void close();
  });
  return { fault: () => fault, close };

  function close(): Promise<void> {
    closed ??= end(server);
    return closed;
  }
}

type Manner = { readonly encoding: Encoding; readonly retrySeconds?: number };

const TOO_MUCH: Refusing = { status: 429, message: 'Exports take too much of this host; export less, or less often' };
const TOO_MANY: Refusing = { status: 503, message: 'Too many exports come at once; send this one again' };

function send(response: ServerResponse, { status, headers, body }: Answer, onAnswer: (status: number) => void): void {
  onAnswer(status);
  response.writeHead(status, headers).end(body);
}

function formOf(type: string | undefined): Encoding {
  return type === 'application/x-protobuf' ? 'protobuf' : 'json';
}

/** Whoever may reach an address beyond this machine may have any name for it. */
function makeHostCheck(address: string): (name: string) => boolean {
  if (!isLoopback(address)) return () => true;
  const names = new Set(['localhost', '127.0.0.1', '[::1]', address, `[${address}]`]);
  return (name) => names.has(name);
}

/** Null where it ended before its length. */
async function readAll(request: IncomingMessage): Promise<Result<Buffer, Refusing> | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) return { ok: false, error: TOO_LARGE };
      chunks.push(chunk);
    }
  } catch {
    return null;
  }
  return ok(Buffer.concat(chunks));
}

async function listen(
  server: Server,
  address: { readonly host: string; readonly port: number },
): Promise<Fault | null> {
  return new Promise((resolve) => {
    const fail = (cause: Error): void => resolve(toFault(cause));
    server.once('error', fail);
    server.listen({ ...address, exclusive: true }, () => {
      server.off('error', fail);
      resolve(null);
    });
  });
}

async function end(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeAllConnections();
  await closed;
}
