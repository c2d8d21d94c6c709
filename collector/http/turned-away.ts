import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Log } from '@muster/proto/log';

/** For one reason one line at most in this time, however many come. */
const LINE_MS = 60_000;

/** Notes that somebody was turned away: `from` is a host, or an address. `reason` is one of a few words of ours. */
export type NoteTurnedAway = (reason: string, from: string) => void;

/** Tells the log who is turned away: the first at once, those after it with how many they were. */
export function makeTurnedAway(log: Log, now: () => number): NoteTurnedAway {
  const reasons = new Map<string, { readonly loggedMs: number; readonly count: number }>();
  return (reason, from) => {
    const { loggedMs, count } = reasons.get(reason) ?? { loggedMs: -Infinity, count: 0 };
    const isDue = Math.abs(now() - loggedMs) >= LINE_MS; // whichever way the clock was set
    if (isDue) log.warn('http.turned-away', { reason, from, count: count + 1 });
    reasons.set(reason, isDue ? { loggedMs: now(), count: 0 } : { loggedMs, count: count + 1 });
  };
}

/** Where a connection comes from; of one through a proxy, the proxy. */
export function addressOf(socket: Duplex): string {
  return (socket instanceof Socket ? socket.remoteAddress : undefined) ?? 'unknown';
}
