import { connect, type Socket } from 'node:net';

import { openDelayLine } from './delay-line.ts';
import { drawReplies, planConnection, type Faults, type Trip, type Way } from './fault-plan.ts';

/** Something that the proxy did to a connection; `connection` counts from 0 in the order of arrival. */
export type FaultEvent = {
  readonly connection: number;
  readonly kind: Trip['kind'] | 'drop-reply' | 'refuse' | 'silence' | 'unreachable';
  readonly way?: Way;
  /** How far it had come: bytes of that way, or replies before the one that was dropped. */
  readonly after?: number;
};

export type FaultConnectionOptions = {
  readonly client: Socket;
  readonly upstream: { readonly host: string; readonly port: number };
  readonly seed: number;
  readonly number: number;
  /** The faults of now. */
  readonly faults: () => Faults;
  readonly onFault: (event: FaultEvent) => void;
  readonly onBytes: (way: Way, bytes: number) => void;
  readonly onReply: () => void;
  /** Both sockets are closed. */
  readonly onClose: () => void;
};

export type FaultConnection = {
  /** From now on nothing arrives on either side, though both stay open. */
  readonly silence: () => void;
  readonly reset: () => void;
};

/** Joins a client with the server, and does to the connection what is planned for it. */
export function openFaultConnection(options: FaultConnectionOptions): FaultConnection {
  const { client, number, seed } = options;
  const faults = options.faults();
  const plan = planConnection(seed, number, faults);
  const upstream = connect({ ...options.upstream, allowHalfOpen: true, noDelay: true });
  const pair = openPair(client, upstream, options);
  const judgeReply = makeReplyJudge(options);

  const trip = ({ kind, way, afterBytes }: Trip): void => {
    if (pair.signal.aborted || pair.isSilent()) return;
    options.onFault({ connection: number, kind, way, after: afterBytes });
    if (kind === 'half-open') pair.silence([way], options.faults().halfOpenMs);
    else pair.end(kind === 'cut' ? 'close' : 'reset');
  };

  const join = (way: Way): void => {
    const [from, to] = way === 'request' ? [client, upstream] : [upstream, client];
    const line = openDelayLine({
      from,
      to,
      delayMs: plan.delayMs,
      bytesPerSecond: faults.throttleBytesPerSecond,
      signal: pair.signal,
      onBroken: () => pair.end('reset'),
    });
    const [next] = plan.trips.filter((one) => one.way === way).toSorted((a, b) => a.afterBytes - b.afterBytes);
    let leftBytes = next?.afterBytes ?? Infinity;
    from.on('data', (chunk: Buffer) => {
      // What comes after the byte of a fault arrives nowhere, also while the bytes before it are still on their way.
      if (leftBytes === 0 || pair.isSilent(way) || pair.signal.aborted) return;
      if (!judgeReply(way)) {
        pair.end('close');
        return;
      }
      const passed = chunk.subarray(0, leftBytes);
      leftBytes -= passed.length;
      options.onBytes(way, passed.length);
      line.push(passed);
      if (leftBytes === 0 && next !== undefined) line.afterwards(() => trip(next));
    });
    from.once('end', () => {
      if (leftBytes > 0 && !pair.isSilent(way)) line.afterwards(() => to.end());
    });
  };

  join('request');
  join('reply');
  for (const one of plan.trips) if (one.afterMs < Infinity) pair.after(one.afterMs, () => trip(one));
  return { silence: () => pair.silence(['request', 'reply'], null), reset: () => pair.end('reset') };
}

/**
 * Says of bytes whether they may pass: not those of a reply that is to be dropped.
 *
 * The first bytes from the server after bytes of the client are a reply, as in HTTP/1.1 without pipelining. A server
 * that has begun to answer has taken the request.
 */
function makeReplyJudge({ seed, number, faults, onReply, onFault }: FaultConnectionOptions): (way: Way) => boolean {
  const chances = drawReplies(seed, number);
  let isDue = false;
  let replies = 0;
  return (way) => {
    const isReply = way === 'reply' && isDue;
    isDue = way === 'request';
    if (!isReply) return true;
    onReply();
    replies += 1;
    if (chances() >= faults().dropReplies) return true;
    onFault({ connection: number, kind: 'drop-reply', way, after: replies - 1 });
    return false;
  };
}

type Pair = {
  /** Aborted when the connection is over. */
  readonly signal: AbortSignal;
  readonly end: (manner: 'close' | 'reset') => void;
  /** Lets nothing of these ways through for a time, null for good, and then resets: a stream never has a hole. */
  readonly silence: (ways: readonly Way[], forMs: number | null) => void;
  /** Whether one way is silent, or any. */
  readonly isSilent: (way?: Way) => boolean;
  readonly after: (waitMs: number, act: () => void) => void;
};

/** The two sockets of a connection and how they end together. */
function openPair(client: Socket, upstream: Socket, options: FaultConnectionOptions): Pair {
  const over = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  const silent = new Set<Way>();
  let openSockets = 2;
  let isReached = false;
  upstream.once('connect', () => (isReached = true));

  function end(manner: 'close' | 'reset'): void {
    over.abort();
    for (const timer of timers) clearTimeout(timer);
    for (const socket of [client, upstream]) {
      if (manner === 'reset') resetSocket(socket);
      else socket.destroySoon(); // what was let through before still arrives
    }
  }

  function after(waitMs: number, act: () => void): void {
    timers.push(setTimeout(act, waitMs));
  }

  for (const socket of [client, upstream]) {
    let hasFailed = false;
    socket.on('error', () => (hasFailed = true));
    socket.once('close', () => {
      openSockets -= 1;
      if (openSockets === 0) options.onClose();
      if (over.signal.aborted) return;
      if (socket === upstream && !isReached) options.onFault({ connection: options.number, kind: 'unreachable' });
      // Nobody beyond a silent way learns that the other has gone.
      if (hasFailed && silent.size === 0) end('reset');
      else if (openSockets === 0) end('close');
    });
  }
  return {
    signal: over.signal,
    end,
    silence(ways, forMs) {
      for (const way of ways) silent.add(way);
      if (forMs !== null) after(forMs, () => end('reset'));
    },
    isSilent: (way) => (way === undefined ? silent.size > 0 : silent.has(way)),
    after,
  };
}

/**
 * Ends a connection with an RST. While a goodbye (FIN) is under way libuv refuses that, and Node then loses the socket:
 * it stays open, and the process cannot end. So the goodbye comes to its end first, which takes a turn of the loop.
 */
export function resetSocket(socket: Socket): void {
  const isParting = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (!isParting) socket.resetAndDestroy();
  else socket.once('finish', () => socket.resetAndDestroy());
}
