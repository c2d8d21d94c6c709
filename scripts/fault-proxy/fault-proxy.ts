import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

import { openFaultConnection, resetSocket, type FaultConnection, type FaultEvent } from './fault-connection.ts';
import { NO_FAULTS, type Faults } from './fault-plan.ts';

/** What has really happened so far. A fault that was planned for a byte that never came is not in here. */
export type FaultStats = {
  connections: number;
  requestBytes: number;
  replyBytes: number;
  replies: number;
  /** How often each kind of fault came about. */
  readonly faults: Record<FaultEvent['kind'], number>;
};

/** New connections are closed at once and the others reset, or all of them stay open and go silent. */
export type Outage = 'refuse' | 'silence';

export type FaultProxyOptions = {
  /** Port to listen on, of 127.0.0.1; 0 is any free one. */
  readonly port?: number;
  readonly upstream: { readonly host?: string; readonly port: number };
  readonly seed: number;
  readonly faults?: Partial<Faults>;
  /** Every fault as it happens. */
  readonly onFault?: (event: FaultEvent) => void;
};

export type FaultProxy = {
  readonly port: number;
  readonly stats: Readonly<FaultStats>;
  /** How many connections are open now. */
  readonly open: () => number;
  /** Changes some faults: dropped replies and `halfOpenMs` at once, the others for connections to come. */
  readonly setFaults: (faults: Partial<Faults>) => void;
  /** Begins an outage, or ends it with null: what was silent is reset then. */
  readonly partition: (outage: Outage | null) => void;
  /** Where connections to come are led: the server has come back on another port. */
  readonly retarget: (port: number) => void;
  readonly close: () => Promise<void>;
};

/**
 * A TCP proxy that does harm, for tests. What it does to a connection follows from the seed and the number of the
 * connection alone, never from time, so that a failure can be had again.
 *
 * Bytes that arrive are those that were sent, in order and without a hole, however early they end.
 */
export async function openFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const stats = makeStats();
  const upstream = { host: '127.0.0.1', ...options.upstream };
  let faults: Faults = { ...NO_FAULTS, ...options.faults };
  let outage: Outage | null = null;
  const open = new Set<FaultConnection>();
  let onEmpty = (): void => undefined;

  const onFault = (event: FaultEvent): void => {
    stats.faults[event.kind] += 1;
    options.onFault?.(event);
  };
  const accept = (client: Socket): void => {
    const number = stats.connections;
    stats.connections += 1;
    client.on('error', () => undefined); // 'close' follows, and is what counts
    if (outage !== null) onFault({ connection: number, kind: outage });
    if (outage === 'refuse') {
      resetSocket(client);
      return;
    }
    const onClose = (): void => {
      open.delete(connection);
      if (open.size === 0) onEmpty();
    };
    const connection =
      outage === 'silence'
        ? holdConnection(client, onClose)
        : openFaultConnection({
            client,
            upstream: { ...upstream },
            seed: options.seed,
            number,
            faults: () => faults,
            onFault,
            onBytes: (way, bytes) => (stats[way === 'request' ? 'requestBytes' : 'replyBytes'] += bytes),
            onReply: () => (stats.replies += 1),
            onClose,
          });
    open.add(connection);
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, accept);
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port, // a TCP server that listens has one
    stats,
    open: () => open.size,
    setFaults: (changed) => void (faults = { ...faults, ...changed }),
    partition(next) {
      if (next === outage) return;
      for (const connection of open) {
        if (next === 'silence') connection.silence();
        else connection.reset();
      }
      outage = next;
    },
    retarget: (port) => void (upstream.port = port),
    async close() {
      const empty = new Promise<void>((resolve) => {
        onEmpty = resolve;
        if (open.size === 0) resolve();
      });
      server.close();
      for (const connection of open) connection.reset();
      await empty;
    },
  };
}

function makeStats(): FaultStats {
  const faults = { cut: 0, reset: 0, 'half-open': 0, 'drop-reply': 0, refuse: 0, silence: 0, unreachable: 0 };
  return { connections: 0, requestBytes: 0, replyBytes: 0, replies: 0, faults };
}

/** Takes a connection and lets nothing of it through. */
function holdConnection(client: Socket, onClose: () => void): FaultConnection {
  client.resume();
  client.once('close', onClose);
  return { silence: () => undefined, reset: () => resetSocket(client) };
}
