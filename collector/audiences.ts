import { TOPICS_MAX, type LiveMessage, type Topic } from '@muster/proto/live';

import type { LiveSocket } from './http/live-server.ts';

/** A page that has this much unread gets no patches; it gets a snapshot when it has caught up. */
export const BEHIND_BYTES = 64 * 1024;

/** `behind` are those of the sockets that have missed a patch and wait for a snapshot. */
type Audience = { seq: number; readonly sockets: Set<LiveSocket>; readonly behind: Set<LiveSocket> };

/** Who follows which topic, and how far its messages have been counted. */
export type Audiences = ReturnType<typeof makeAudiences>;

export function makeAudiences() {
  const audiences = new Map<Topic, Audience>();
  const topicsOf = new Map<LiveSocket, Set<Topic>>();

  function leave(socket: LiveSocket, topic: Topic): void {
    topicsOf.get(socket)?.delete(topic);
    const audience = audiences.get(topic);
    audience?.sockets.delete(socket);
    audience?.behind.delete(socket);
    if (audience?.sockets.size === 0) audiences.delete(topic);
  }

  return {
    leave,
    sockets: (): Iterable<LiveSocket> => topicsOf.keys(),
    isFollowed: (topic: Topic): boolean => audiences.has(topic),
    /** Where the count of a topic stands; a snapshot says it. */
    seq: (topic: Topic): number => audiences.get(topic)?.seq ?? 0,
    addSocket: (socket: LiveSocket): void => void topicsOf.set(socket, new Set()),
    removeSocket(socket: LiveSocket): void {
      for (const topic of topicsOf.get(socket) ?? []) leave(socket, topic);
      topicsOf.delete(socket);
    },
    /** False when the socket follows too many topics, or has closed meanwhile. */
    join(socket: LiveSocket, topic: Topic): boolean {
      const topics = topicsOf.get(socket);
      if (topics === undefined || (topics.size >= TOPICS_MAX && !topics.has(topic))) return false;
      topics.add(topic);
      const audience = audiences.get(topic) ?? { seq: 0, sockets: new Set(), behind: new Set() };
      audiences.set(topic, audience);
      audience.sockets.add(socket);
      audience.behind.delete(socket);
      return true;
    },
    /** Sends one patch, made once, to every follower that can take it. A topic that nobody follows costs nothing. */
    publish(topic: Topic, makePatch: (seq: number) => LiveMessage | null): void {
      const audience = audiences.get(topic);
      const patch = audience === undefined ? null : makePatch(audience.seq + 1);
      if (audience === undefined || patch === null) return;
      audience.seq += 1;
      const text = JSON.stringify(patch);
      for (const socket of audience.sockets) {
        if (audience.behind.has(socket)) continue;
        if (socket.bufferedBytes() > BEHIND_BYTES) audience.behind.add(socket);
        else socket.send(text);
      }
    },
    /** Notes that a socket has missed something of a topic, so that it gets a snapshot when it has caught up. */
    setBehind: (socket: LiveSocket, topic: Topic): void => void audiences.get(topic)?.behind.add(socket),
    /** The topics of which a socket has missed something; it counts as level with them from now on. */
    takeBehind(socket: LiveSocket): readonly Topic[] {
      return [...(topicsOf.get(socket) ?? [])].filter((topic) => audiences.get(topic)?.behind.delete(socket));
    },
  };
}
