import { Agent, request as requestPlain, type AgentOptions, type IncomingHttpHeaders } from 'node:http';

import { openTrust } from './trust.ts';

const CONNECT_MS_MAX = 5_000;

export type HttpRequest = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** Ends the request, the body of its answer included. */
  readonly signal: AbortSignal;
};

/** `body` must be read to its end, or given up by leaving the loop over it. */
export type HttpAnswer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: AsyncIterable<Buffer>;
};

export type HttpClient = {
  /** Throws when no answer comes. Redirections are not followed: they are answers. */
  readonly request: (request: HttpRequest) => Promise<HttpAnswer>;
  /** Cuts what is under way. */
  readonly close: () => void;
};

export type HttpClientOptions = {
  /** For how long a connection is kept without a request. */
  readonly keepMs: number;
  /** As many requests are under way at most, each over a connection of its own. */
  readonly connections: number;
};

/** Where a server is: by its URL, or by the whole path of its socket on this machine. */
export type Place = { readonly url: string } | { readonly socketPath: string };

/**
 * Connections to one server, kept from one request to the next. Node's own client: it is part of the executable, while
 * undici brings a second parser and 11 MB of resident memory. TLS is loaded where it is spoken.
 */
export function openHttpClient(place: Place, { keepMs, connections }: HttpClientOptions): HttpClient {
  const options = { keepAlive: true, maxSockets: connections, timeout: keepMs };
  const { agent, send, trust, ...target } =
    'url' in place
      ? openTransport(new URL(place.url), options)
      : { ...place, agent: new Agent(options), send: requestPlain, trust: trustNobody };

  return {
    request: ({ body, signal, ...request }) =>
      new Promise((resolve, reject) => {
        const outgoing = send({ agent, ...target, ...trust(), ...request, signal }, (incoming) =>
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

function openTransport({ protocol, hostname, port }: URL, options: AgentOptions) {
  const target = { host: hostname.replace(/^\[(.*)\]$/, '$1'), ...(port === '' ? {} : { port }) };
  if (protocol !== 'https:') return { ...target, agent: new Agent(options), send: requestPlain, trust: trustNobody };
  const { Agent: TlsAgent, request: send } = process.getBuiltinModule('node:https');
  return { ...target, agent: new TlsAgent(options), send, trust: () => ({ secureContext: openTrust(null) }) };
}

/** Without TLS nobody says who he is. */
function trustNobody(): {} {
  return {};
}

/** Reads a body of at most so many bytes; a longer one is null, and its end not waited for. */
export async function readBody(body: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) return null; // ends the stream, and with it the connection
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
