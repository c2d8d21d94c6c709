import { createServer, type Server } from 'node:http';

import { makeRefusal } from './answer.ts';

/** A collector that stands by may be next in a second or in a year; agents keep what they have, and ask again. */
const RETRY_AFTER_SECONDS = 5;
const REQUEST_MS_MAX = 15_000;

export type StandbyOptions = {
  readonly hostname: string;
  readonly port: number;
  /** Why it cannot do its work yet. */
  readonly message: string;
};

/** Answers for a collector that waits: it is alive, and it does nothing else. The result closes it, and frees the port. */
export async function openStandbyServer({ hostname, port, message }: StandbyOptions): Promise<() => Promise<void>> {
  const server = createServer({ requestTimeout: REQUEST_MS_MAX }, (request, response) => {
    const isAlive = request.method === 'GET' && request.url === '/healthz';
    const body = isAlive ? { status: 'alive' } : makeRefusal(503, 'standby', message).body;
    request.resume(); // what is sent is not looked at
    if (!isAlive) response.setHeader('Retry-After', RETRY_AFTER_SECONDS);
    // So that whoever asks finds the collector that opens on this port.
    response.setHeader('Connection', 'close');
    response.writeHead(isAlive ? 200 : 503, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
  });
  await listen(server, hostname, port);
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}

function listen(server: Server, hostname: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new Error(`Cannot listen on ${hostname}:${port}; choose another port with --port`, { cause })),
    );
    server.listen(port, hostname, resolve);
  });
}
