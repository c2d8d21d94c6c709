import { Agent, request as requestPlain, type IncomingHttpHeaders } from 'node:http';

/** At most so many requests are under way, each over a connection of its own: one for each lane of the push. */
const CONNECTIONS_MAX = 2;
const CONNECT_MS_MAX = 5_000;

export type LinkRequest = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** Ends the request, the body of its answer included. */
  readonly signal: AbortSignal;
};

/** `body` must be read to its end, or given up by leaving the loop over it. */
export type LinkAnswer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: AsyncIterable<Buffer>;
};

export type Link = {
  /** Throws when no answer comes. Redirections are not followed: they are answers. */
  readonly request: (request: LinkRequest) => Promise<LinkAnswer>;
  /** Cuts what is under way. */
  readonly close: () => void;
};

/**
 * Connections to a collector, kept from one request to the next for `keepMs`. Node's own client: it is part of the
 * executable, while undici brings a second parser and 11 MB of resident memory. TLS is loaded where it is spoken.
 */
export function openLink(url: string, keepMs: number): Link {
  const { protocol, hostname, port } = new URL(url);
  const { agent, send } = openTransport(protocol, keepMs);
  const target = { agent, host: hostname.replace(/^\[(.*)\]$/, '$1'), ...(port === '' ? {} : { port }) };

  return {
    request: ({ body, signal, ...request }) =>
      new Promise((resolve, reject) => {
        const outgoing = send({ ...target, ...request, signal }, (incoming) =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: incoming }),
        );
        outgoing.removeHeader('connection'); // HTTP/1.1 keeps it anyway
        outgoing.on('socket', (socket) => {
          if (!socket.connecting) return;
          const late = () => outgoing.destroy(new Error(`no connection within ${CONNECT_MS_MAX / 1000} s`));
          const timer = setTimeout(late, CONNECT_MS_MAX);
          const settle = () => clearTimeout(timer);
          socket.once('connect', settle).once('close', settle);
        });
        outgoing.on('error', reject);
        outgoing.end(body);
      }),
    close: () => agent.destroy(),
  };
}

function openTransport(
  protocol: string,
  keepMs: number,
): { readonly agent: Agent; readonly send: typeof requestPlain } {
  const options = { keepAlive: true, maxSockets: CONNECTIONS_MAX, timeout: keepMs };
  if (protocol !== 'https:') return { agent: new Agent(options), send: requestPlain };
  const { Agent: TlsAgent, request } = process.getBuiltinModule('node:https');
  return { agent: new TlsAgent(options), send: request };
}

/** Reads at most so many bytes of a body; the rest of a longer one is not waited for. */
export async function readStart(body: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) break; // ends the stream, and with it the connection
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
