import { createServer, STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { getRequestListener } from '@hono/node-server';

import type { Log } from '@muster/proto/log';
import { LIVE_PATH } from '@muster/proto/live';

import type { App } from './app.ts';
import { nameSessionCookie, readSessionId } from './auth.ts';
import type { AnswerPush } from './direct.ts';
import type { Strangers } from './strangers.ts';
import { addressOf, type NoteTurnedAway } from './turned-away.ts';
import { makeEndUnread } from './unread.ts';

/** How long a client may take to send its headers, and its whole request. */
const HEADERS_MS_MAX = 10_000;
const REQUEST_MS_MAX = 15_000;
/** Longer than the longest interval of an agent, so that its connection stays; and than what proxies hold theirs. */
const KEEP_ALIVE_MS = 75_000;
/** How often slow clients are looked for. */
const CHECK_MS = 1_000;
/** Enough for 10,000 viewers, each with one request under way, and the agents. */
const CONNECTIONS_MAX = 30_000;
/** How long a stop waits for answers that are under way. */
const CLOSE_MS_MAX = 5_000;
/** How often a stop looks for connections whose last answer has gone out. */
const SWEEP_MS = 50;

export type ServerOptions = {
  readonly app: App;
  readonly answerPush: AnswerPush;
  readonly hostname: string;
  readonly port: number;
  readonly livePort: number;
  readonly strangers: Strangers;
  readonly onTurnedAway: NoteTurnedAway;
  readonly log: Log;
};

export type HttpServer = { readonly port: number; close(): Promise<void> };

/** Serves the application, and tunnels the upgrade of the live socket to its own server. Throws when it cannot listen. */
export async function openServer(options: ServerOptions): Promise<HttpServer> {
  const tunnels = new Set<Duplex>();
  const server = await listen(options);
  server.maxConnections = CONNECTIONS_MAX;
  server.on('connection', options.strangers.arrive);
  server.on('clientError', (error: Error & { code?: string }, socket) => {
    const refusal = judgeClientError(error.code);
    if (refusal === null) {
      socket.destroy();
      return;
    }
    options.onTurnedAway(refusal.code, addressOf(socket));
    answer(socket, refusal);
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    // Node has handed the socket over: an error on it that nobody hears would end the process.
    socket.on('error', () => socket.destroy());
    if (request.url?.split('?')[0] !== LIVE_PATH) {
      answer(socket, { status: 404, code: 'not-found', message: `Only ${LIVE_PATH} can be upgraded` });
      return;
    }
    tunnels.add(socket);
    socket.once('close', () => tunnels.delete(socket));
    const upstream = tunnel(request, socket, head, options.livePort);
    upstream.once('data', (reply: Buffer) => {
      if (reply.toString('latin1', 0, 12) === 'HTTP/1.1 101') options.strangers.trust(socket);
    });
  });
  return {
    // A TCP server that listens has an AddressInfo, not a path.
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of tunnels) socket.destroy();
      // Whoever asks on a connection from now on is told to end it; what was under way leaves one that idles.
      server.prependListener('request', (_request, response) => response.setHeader('Connection', 'close'));
      const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeIdleConnections();
      const force = setTimeout(() => server.closeAllConnections(), CLOSE_MS_MAX);
      await closed;
      clearTimeout(force);
      clearInterval(sweep);
    },
  };
}

function listen({ app, answerPush, hostname, port, log }: ServerOptions): Promise<Server> {
  return new Promise((resolve, reject) => {
    const answerInApp = getRequestListener(app.fetch, { hostname, autoCleanupIncoming: false });
    const timeouts = {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: HEADERS_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      connectionsCheckingInterval: CHECK_MS,
    };
    const endUnread = makeEndUnread();
    const server = createServer(timeouts, (incoming, outgoing) => {
      if (answerPush(incoming, outgoing, endUnread)) return;
      endUnread(incoming, outgoing);
      void answerInApp(incoming, outgoing);
    });
    server.once('error', (cause: Error & { code?: string }) => {
      const isTaken = cause.code === 'EADDRINUSE';
      const message = `Cannot listen on ${hostname}:${port}`;
      reject(
        isTaken
          ? new Error(`${message}: the port is in use; choose another with --port`)
          : new Error(message, { cause }),
      );
    });
    server.once('listening', () => {
      server.removeAllListeners('error');
      server.on('error', (error) => log.error('http.server-failed', { error }));
      resolve(server);
    });
    server.listen(port, hostname);
  });
}

type EarlyRefusal = { readonly status: number; readonly code: string; readonly message: string };

/** What is answered to whom Node refuses before the application sees it; null to one who is gone. */
function judgeClientError(code: string | undefined): EarlyRefusal | null {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT': {
      const message = `A request must be sent within ${REQUEST_MS_MAX / 1000} s, its headers within ${HEADERS_MS_MAX / 1000} s`;
      return { status: 408, code: 'too-slow', message };
    }
    case 'HPE_INVALID_EOF_STATE':
      // Not 400: the rest was lost on the way, and an agent would give up a batch that is as it should be.
      return { status: 408, code: 'cut', message: 'The request ended before its length; send it again' };
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, code: 'headers-too-large', message: 'The headers may be 16 KiB' };
    case 'ECONNRESET':
      return null;
    default:
      return { status: 400, code: 'malformed', message: 'This is not an HTTP request' };
  }
}

function answer(socket: Duplex, { status, code, message }: EarlyRefusal): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify({ error: { code, message } });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

/** What the live server looks at. Its own limit is 4 KiB, so that cookies of other programs must stay outside. */
const LIVE_HEADERS = ['host', 'origin', 'authorization', 'upgrade', 'connection'] as const;
const WEBSOCKET_HEADERS = ['key', 'version', 'protocol', 'extensions'].map((name) => `sec-websocket-${name}`);

/** Passes an upgrade request on, with our own cookie of all, and joins the two connections; the live server judges. */
function tunnel({ headers }: IncomingMessage, socket: Socket, head: Buffer, livePort: number): Socket {
  const upstream = connect(livePort, '127.0.0.1');
  const lines = [`GET ${LIVE_PATH} HTTP/1.1`];
  for (const name of [...LIVE_HEADERS, ...WEBSOCKET_HEADERS])
    if (headers[name] !== undefined) lines.push(`${name}: ${String(headers[name])}`);
  const session = readSessionId(headers.cookie, headers.host);
  if (session !== null) lines.push(`cookie: ${nameSessionCookie(headers.host)}=${session}`);
  upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
  upstream.write(head);
  join(socket, upstream);
  join(upstream, socket);
  return upstream;
}

function join(from: Socket, to: Socket): void {
  from.pipe(to);
  from.on('error', () => to.destroy());
  from.on('close', () => to.destroy());
}
