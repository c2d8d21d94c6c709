import type { Socket } from 'node:net';

import { addressOf, type NoteTurnedAway } from './turned-away.ts';

/**
 * How many connections may be open on which nobody has yet shown a token, a session or the key. An honest caller does
 * so with its first request, at once; each of these may hold 10 KB until a timeout ends it.
 */
export const STRANGERS_MAX = 1_000;

/** Connections of unknown callers: a limited number, of which the oldest is cut when one more comes. */
export type Strangers = {
  readonly arrive: (socket: Socket) => void;
  /** Its caller is known: it is none of them any more. */
  readonly trust: (socket: Socket | undefined) => void;
  /** It is limited otherwise for a while, until the function given back is called. One that is known stays known. */
  readonly setAside: (socket: Socket) => () => void;
  readonly count: () => number;
};

/**
 * Keeps slow and silent connections from filling the collector. The oldest goes because it has had most time to say
 * who it is; a limit by address would hit all agents behind one proxy.
 */
export function makeStrangers(onCut: NoteTurnedAway): Strangers {
  const strangers = new Set<Socket>(); // in the order of arrival
  function add(socket: Socket): void {
    strangers.add(socket);
    const [oldest] = strangers;
    if (strangers.size <= STRANGERS_MAX || oldest === undefined) return;
    strangers.delete(oldest);
    onCut('too-many-unknown', addressOf(oldest));
    oldest.destroy();
  }
  return {
    arrive(socket) {
      socket.once('close', () => strangers.delete(socket));
      add(socket);
    },
    trust: (socket) => void (socket !== undefined && strangers.delete(socket)),
    setAside(socket) {
      const wasStranger = strangers.delete(socket);
      return () => {
        if (wasStranger && !socket.destroyed) add(socket);
      };
    },
    count: () => strangers.size,
  };
}
