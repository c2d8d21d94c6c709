import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

import { formatOptions, parseOptions, parsePort, parseSwitch, type Option } from '@muster/proto/options';
import { err, ok } from '@muster/proto/result';

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

const USAGE = `fault-proxy: a TCP proxy that does harm, the same harm for the same seed

  node scripts/fault-proxy.ts --listen 7440 --to 7430 --seed 7 --drop-replies 0.2`;

const parseRatio = (text: string) =>
  /^(0|1|0?\.\d+|1\.0+)$/.test(text) ? ok(Number(text)) : err('a ratio from 0 to 1, such as 0.2');
const parseAmount = (text: string) => (/^\d{1,10}$/.test(text) ? ok(Number(text)) : err('a whole number'));

const ratio = (help: string) =>
  ({ placeholder: 'RATIO', help, default: 0, parse: parseRatio }) satisfies Option<number>;
const amount = (name: keyof Faults, placeholder: string, help: string) =>
  ({
    placeholder,
    help: `${help} (default ${NO_FAULTS[name]})`,
    default: NO_FAULTS[name],
    parse: parseAmount,
  }) satisfies Option<number>;

const OPTIONS = {
  listen: { placeholder: 'PORT', help: 'port of 127.0.0.1 (default any free one)', default: 0, parse: parsePort },
  to: { placeholder: 'PORT', help: 'port of the server on 127.0.0.1 (default 7430)', default: 7430, parse: parsePort },
  seed: { placeholder: 'NUMBER', help: 'what chance follows from (default 1)', default: 1, parse: parseAmount },
  quiet: { help: 'print no line for each fault', default: false, parse: parseSwitch },
  latencyMs: amount('latencyMs', 'MS', 'every byte arrives this much later, each way'),
  jitterMs: amount('jitterMs', 'MS', 'and up to this much more, by connection'),
  throttleBytesPerSecond: amount('throttleBytesPerSecond', 'BYTES', 'what each way carries; 0 is no limit'),
  cut: ratio('of connections that are closed'),
  cutBytesMax: amount('cutBytesMax', 'BYTES', 'after up to so many bytes of a way'),
  cutMsMax: amount('cutMsMax', 'MS', 'or after up to this time; 0 is never'),
  reset: ratio('of connections that are reset'),
  resetBytesMax: amount('resetBytesMax', 'BYTES', 'after up to so many bytes of a way'),
  halfOpen: ratio('of connections of which one way goes silent'),
  halfOpenBytesMax: amount('halfOpenBytesMax', 'BYTES', 'after up to so many bytes of it'),
  halfOpenMs: amount('halfOpenMs', 'MS', 'for so long; then it is reset'),
  dropReplies: ratio('of replies that are swallowed, their requests having gone through'),
} as const;

async function main(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, OPTIONS));
    return;
  }
  const parsed = parseOptions(OPTIONS, { argv, env: {}, readFile: String });
  if (!parsed.ok) {
    for (const fault of parsed.error) console.error(fault);
    process.exitCode = 2;
    return;
  }
  const { listen, to, seed, quiet, ...faults } = parsed.value;
  const onFault = (event: FaultEvent): void => console.log(JSON.stringify(event));
  const proxy = await openFaultProxy({
    port: listen,
    upstream: { port: to },
    seed,
    faults,
    ...(quiet ? {} : { onFault }),
  });
  console.log(`127.0.0.1:${proxy.port} leads to 127.0.0.1:${to}, seed ${seed}`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await proxy.close();
  console.log(JSON.stringify(proxy.stats));
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
