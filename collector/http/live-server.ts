import {
  App,
  us_listen_socket_close,
  us_socket_local_port,
  type HttpRequest,
  type HttpResponse,
  type WebSocket,
} from 'uWebSockets.js';

import { LIVE_BYTES_MAX, LIVE_PATH } from '@muster/proto/live';
import type { Refusal } from '@muster/proto/push';
import { err, ok, type Result } from '@muster/proto/result';

import { isSameOrigin, readBearer, readSessionId, type Authorise } from './auth.ts';

/** A socket that sends nothing, not even the answer to a ping, for this long is closed. */
const IDLE_SECONDS_MAX = 30;
/** Beyond this a socket is closed: whoever fills it also looks at `bufferedBytes` and stops far below. */
const BACKPRESSURE_BYTES_MAX = 4 * 1024 * 1024;

/** One page that listens. `session` is its browser session, null for a program. */
export type LiveSocket = {
  readonly session: string | null;
  send(text: string): void;
  /** What was sent and has not yet left. */
  bufferedBytes(): number;
  end(): void;
};

/** What happens on the live sockets; `drained` when some of what a socket had not read has left. */
export type LiveHandlers = {
  readonly opened: (socket: LiveSocket) => void;
  readonly received: (socket: LiveSocket, text: string) => void;
  readonly drained: (socket: LiveSocket) => void;
  readonly closed: (socket: LiveSocket) => void;
};

export type LiveServerOptions = {
  readonly port: number;
  readonly authorise: Authorise;
  readonly handlers: LiveHandlers;
};

type ListenSocket = Parameters<typeof us_listen_socket_close>[0];
type ListenWithOptions = (
  host: string,
  port: number,
  options: number,
  done: (socket: ListenSocket | false) => void,
) => void;
/** Of uSockets' options: without it a second server may take the same port, and gets every other connection. */
const LISTEN_EXCLUSIVELY = 1;

type Refused = { readonly status: string; readonly code: string; readonly message: string };
type SocketData = { session: string | null; socket: LiveSocket | null };

/** Opens the WebSocket server on loopback. Throws when it cannot listen. */
export async function openLiveServer(options: LiveServerOptions): Promise<{ port: number; close(): Promise<void> }> {
  const { handlers } = options;
  const app = App().ws<SocketData>('/*', {
    maxPayloadLength: LIVE_BYTES_MAX,
    idleTimeout: IDLE_SECONDS_MAX,
    sendPingsAutomatically: true,
    maxBackpressure: BACKPRESSURE_BYTES_MAX,
    closeOnBackpressureLimit: true,
    upgrade(response, request, context) {
      const admitted = judgeUpgrade(request, options.authorise);
      if (!admitted.ok) {
        refuseUpgrade(response, admitted.error);
        return;
      }
      response.upgrade<SocketData>(
        { session: admitted.value, socket: null },
        request.getHeader('sec-websocket-key'),
        request.getHeader('sec-websocket-protocol'),
        request.getHeader('sec-websocket-extensions'),
        context,
      );
    },
    open(ws) {
      const data = ws.getUserData();
      data.socket = makeSocket(ws, data.session);
      handlers.opened(data.socket);
    },
    message(ws, message, isBinary) {
      const { socket } = ws.getUserData();
      if (socket !== null && !isBinary) handlers.received(socket, Buffer.from(message).toString('utf8'));
    },
    drain(ws) {
      const { socket } = ws.getUserData();
      if (socket !== null) handlers.drained(socket);
    },
    close(ws) {
      const data = ws.getUserData();
      const { socket } = data;
      data.socket = null; // from here on uWebSockets.js forbids to touch it
      if (socket !== null) handlers.closed(socket);
    },
  });
  app.any('/*', (response) => refuseUpgrade(response, NOT_FOUND));
  const listening = await new Promise<ListenSocket>((resolve, reject) => {
    const listenAlone = app.listen.bind(app) as unknown as ListenWithOptions; // an overload that the typings lack
    listenAlone('127.0.0.1', options.port, LISTEN_EXCLUSIVELY, (socket) => {
      if (socket) resolve(socket);
      else
        reject(
          new Error(
            `Cannot listen on 127.0.0.1:${options.port} for the live view: the port is in use; choose another with --live-port`,
          ),
        );
    });
  });
  let isOpen = true;
  return {
    port: us_socket_local_port(listening),
    async close() {
      // The library frees a socket with the turn in which it is closed. Closed again, it would be somebody else's memory:
      // the process crashes, or hangs, or the next server is closed.
      if (!isOpen) return;
      isOpen = false;
      us_listen_socket_close(listening);
      app.close();
    },
  };
}

const NOT_FOUND: Refused = {
  status: '404 Not Found',
  code: 'not-found',
  message: `Here is only the live socket, at ${LIVE_PATH}`,
};

function refuseUpgrade(response: HttpResponse, { status, code, message }: Refused): void {
  const body: Refusal = { error: { code, message } };
  response.writeStatus(status).writeHeader('Content-Type', 'application/json').end(JSON.stringify(body));
}

/** The session that opens the socket, null for a program's; or the status that refuses it. */
function judgeUpgrade(request: HttpRequest, authorise: Authorise): Result<string | null, Refused> {
  if (request.getUrl() !== LIVE_PATH) return err(NOT_FOUND);
  const caller = authorise({
    bearer: readBearer(request.getHeader('authorization')),
    sessionId: readSessionId(request.getHeader('cookie'), request.getHeader('host')),
  });
  if (caller.kind !== 'admin')
    return err({ status: '401 Unauthorized', code: 'unauthorized', message: 'Sign in on the page first' });
  // A browser sends the cookie for any page; only our own may use it. A program has no session and sends no Origin.
  if (caller.session !== null && !isSameOrigin(request.getHeader('origin'), request.getHeader('host')))
    return err({ status: '403 Forbidden', code: 'cross-origin', message: 'This page is of another origin' });
  return ok(caller.session);
}

function makeSocket(ws: WebSocket<SocketData>, session: string | null): LiveSocket {
  const isOpen = (): boolean => data.socket !== null;
  const data = ws.getUserData();
  return {
    session,
    send: (text) => void (isOpen() && ws.send(text)),
    bufferedBytes: () => (isOpen() ? ws.getBufferedAmount() : 0),
    end: () => void (isOpen() && ws.end(1008, 'signed out')),
  };
}
