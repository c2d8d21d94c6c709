import type { LatestValue } from '@muster/proto/api';
import { readLiveRequest, TOPICS_MAX, type LiveMessage, type Topic } from '@muster/proto/live';

import type { LiveHandlers, LiveSocket } from './http/live-server.ts';
import type { Latest } from './ingest/latest.ts';

/** A page that has this much unread gets no patches; it gets a snapshot when it has caught up. */
const BEHIND_BYTES = 64 * 1024;
/** Rows of the fleet that change within this time travel together. */
const FLEET_MS = 250;

type Audience = { seq: number; readonly sockets: Set<LiveSocket>; readonly behind: Set<LiveSocket> };

/**
 * Who follows which topic, and what they are told. Messages are made once per topic, not once per socket, and a topic
 * without followers costs nothing.
 */
export type LiveHub = LiveHandlers & {
  /** New values of a host, or none where only its status or name may have changed. */
  readonly hostChanged: (host: string, values: readonly LatestValue[]) => void;
  isWatched(host: string): boolean;
  /** Ends the sockets of a session that was signed out. */
  endSession(session: string): void;
  close(): void;
};

export function openLiveHub(latest: Latest, now: () => number): LiveHub {
  const audiences = new Map<string, Audience>();
  const topicsOf = new Map<LiveSocket, Set<Topic>>();
  const changedHosts = new Set<string>();
  const statuses = new Map<string, string>();

  function publish(topic: Topic, makePatch: (seq: number) => LiveMessage | null): void {
    const audience = audiences.get(topic);
    if (audience === undefined) return;
    const patch = makePatch(audience.seq + 1);
    if (patch === null) return;
    audience.seq += 1;
    const text = JSON.stringify(patch);
    for (const socket of audience.sockets) {
      if (audience.behind.has(socket)) continue;
      if (socket.bufferedBytes() > BEHIND_BYTES) audience.behind.add(socket);
      else socket.send(text);
    }
  }

  function hostChanged(host: string, values: readonly LatestValue[]): void {
    changedHosts.add(host);
    publish(`host/${host}`, (seq) => {
      const nowMs = now();
      const row = latest.row(host, nowMs);
      return row === null ? null : { kind: 'host-patch', topic: `host/${host}`, seq, nowMs, row, values };
    });
  }

  /** A host falls silent without sending anything; somebody has to look. */
  function noticeStatuses(): void {
    for (const host of latest.hosts()) {
      const status = latest.status(host, now()) ?? '';
      if (statuses.get(host) === status) continue;
      statuses.set(host, status);
      hostChanged(host, []);
    }
  }

  function publishFleet(): void {
    noticeStatuses();
    if (changedHosts.size === 0) return;
    publish('fleet', (seq) => {
      const nowMs = now();
      const rows = [...changedHosts].flatMap((host) => latest.row(host, nowMs) ?? []);
      return { kind: 'fleet-patch', topic: 'fleet', seq, nowMs, rows };
    });
    changedHosts.clear();
  }

  function sendSnapshot(socket: LiveSocket, topic: Topic): void {
    const message = makeSnapshot(latest, topic, audiences.get(topic)?.seq ?? 0, now());
    socket.send(JSON.stringify(message));
  }

  function subscribe(socket: LiveSocket, topic: Topic): void {
    const topics = topicsOf.get(socket);
    if (topics === undefined) return;
    if (topics.size >= TOPICS_MAX && !topics.has(topic)) {
      refuse(socket, topic, 'too-many-topics', `One socket may follow ${TOPICS_MAX} topics`);
      return;
    }
    if (topic !== 'fleet' && !latest.has(topic.slice('host/'.length))) {
      refuse(socket, topic, 'unknown-host', 'There is no such host');
      return;
    }
    topics.add(topic);
    const audience = audiences.get(topic) ?? { seq: 0, sockets: new Set(), behind: new Set() };
    audiences.set(topic, audience);
    audience.sockets.add(socket);
    audience.behind.delete(socket);
    sendSnapshot(socket, topic);
  }

  function unsubscribe(socket: LiveSocket, topic: Topic): void {
    topicsOf.get(socket)?.delete(topic);
    const audience = audiences.get(topic);
    if (audience === undefined) return;
    audience.sockets.delete(socket);
    audience.behind.delete(socket);
    if (audience.sockets.size === 0) audiences.delete(topic);
  }

  const timer = setInterval(publishFleet, FLEET_MS);
  return {
    opened: (socket) => void topicsOf.set(socket, new Set()),
    received(socket, text) {
      const request = readLiveRequest(text);
      if (!request.ok) refuse(socket, '', 'bad-request', request.error);
      else if (request.value.kind === 'subscribe') subscribe(socket, request.value.topic);
      else unsubscribe(socket, request.value.topic);
    },
    drained(socket) {
      for (const topic of topicsOf.get(socket) ?? []) {
        if (audiences.get(topic)?.behind.delete(socket)) sendSnapshot(socket, topic);
      }
    },
    closed(socket) {
      for (const topic of topicsOf.get(socket) ?? []) unsubscribe(socket, topic);
      topicsOf.delete(socket);
    },
    hostChanged,
    isWatched: (host) => audiences.has(`host/${host}`),
    endSession(session) {
      for (const socket of topicsOf.keys()) if (socket.session === session) socket.end();
    },
    close: () => clearInterval(timer),
  };
}

function makeSnapshot(latest: Latest, topic: Topic, seq: number, nowMs: number): LiveMessage {
  if (topic === 'fleet') {
    const rows = latest.hosts().flatMap((host) => latest.row(host, nowMs) ?? []);
    return { kind: 'fleet-snapshot', topic, seq, nowMs, rows };
  }
  const host = topic.slice('host/'.length);
  const row = latest.row(host, nowMs);
  if (row === null) return { kind: 'refused', topic, code: 'unknown-host', message: 'There is no such host' };
  return { kind: 'host-snapshot', topic, seq, nowMs, row, values: latest.values(host) };
}

type RefusalCode = Extract<LiveMessage, { kind: 'refused' }>['code'];

function refuse(socket: LiveSocket, topic: string, code: RefusalCode, message: string): void {
  socket.send(JSON.stringify({ kind: 'refused', topic, code, message } satisfies LiveMessage));
}
