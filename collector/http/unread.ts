import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Who is refused while sending must be let send on for a moment: a connection that ends under a body takes the answer
 * along. Node's own limit is that of a request; the adapter's, which has none of connections, is switched off.
 */
const UNREAD_MS_MAX = 500;
/** Such connections at a time, the oldest being cut when one more comes: thousands that never end would fill the memory. */
export const UNREAD_MAX = 200;

/** Ends the connection of a request that is answered when its body does not come to its end. */
export type EndUnread = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

export function makeEndUnread(): EndUnread {
  const unread = new Set<Socket>(); // in the order of arrival
  return (incoming, outgoing) => {
    const { socket } = incoming;
    outgoing.once('finish', () => {
      if (incoming.complete || socket.destroyed) return;
      incoming.resume();
      const timer = setTimeout(() => socket.destroy(), UNREAD_MS_MAX);
      unread.add(socket);
      const leave = (): void => {
        clearTimeout(timer);
        unread.delete(socket);
        socket.off('close', leave); // it may bring many requests
      };
      incoming.once('end', leave);
      socket.once('close', leave);
      const [oldest] = unread;
      if (unread.size <= UNREAD_MAX || oldest === undefined) return;
      unread.delete(oldest);
      oldest.destroy();
    });
  };
}
