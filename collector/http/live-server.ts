import { App, us_listen_socket_close, us_socket_local_port, type HttpRequest, type WebSocket } from 'uWebSockets.js';

import { LIVE_BYTES_MAX, LIVE_PATH } from '@muster/proto/live';

import { isSameOrigin, readBearer, SESSION_COOKIE, type Authorise } from './auth.ts';

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

/** What happens on the live sockets; `drained` when a socket that was behind has caught up. */
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
      const refusal = judgeUpgrade(request, options.authorise);
      if (typeof refusal === 'string') {
        response.writeStatus(refusal).end();
        return;
      }
      const [key, protocol, extensions] = ['key', 'protocol', 'extensions'].map((name) =>
        request.getHeader(`sec-websocket-${name}`),
      );
      response.upgrade<SocketData>(
        { session: refusal.session, socket: null },
        key ?? '',
        protocol ?? '',
        extensions ?? '',
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
      const { socket } = ws.getUserData();
      if (socket !== null) handlers.closed(socket);
    },
  });
  const listening = await new Promise<Parameters<typeof us_listen_socket_close>[0]>((resolve, reject) => {
    app.listen('127.0.0.1', options.port, (socket) => {
      if (socket) resolve(socket);
      else
        reject(
          new Error(
            `Cannot listen on 127.0.0.1:${options.port} for the live view: the port is in use; choose another with --live-port`,
          ),
        );
    });
  });
  return {
    port: us_socket_local_port(listening),
    async close() {
      us_listen_socket_close(listening);
      app.close();
    },
  };
}

/** The status that refuses an upgrade, or whose session it is. */
function judgeUpgrade(request: HttpRequest, authorise: Authorise): string | { readonly session: string | null } {
  if (request.getUrl() !== LIVE_PATH) return '404 Not Found';
  const caller = authorise({
    bearer: readBearer(request.getHeader('authorization')),
    sessionId: readCookie(request.getHeader('cookie'), SESSION_COOKIE),
  });
  if (caller.kind !== 'admin') return '401 Unauthorized';
  // A browser sends the cookie for any page; only our own may use it. A program has no session and sends no Origin.
  if (caller.session !== null && !isSameOrigin(request.getHeader('origin'), request.getHeader('host')))
    return '403 Forbidden';
  return { session: caller.session };
}

function readCookie(header: string, name: string): string | null {
  for (const pair of header.split(';')) {
    const [key, value] = pair.trim().split('=');
    if (key === name && value !== undefined) return value;
  }
  return null;
}

function makeSocket(ws: WebSocket<SocketData>, session: string | null): LiveSocket {
  return {
    session,
    send: (text) => void ws.send(text),
    bufferedBytes: () => ws.getBufferedAmount(),
    end: () => ws.end(1008, 'signed out'),
  };
}
