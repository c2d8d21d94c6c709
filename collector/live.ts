import type { LatestValue } from '@muster/proto/api';
import { readLiveRequest, TOPICS_MAX, type LiveMessage, type Topic } from '@muster/proto/live';

import { BEHIND_BYTES, makeAudiences } from './audiences.ts';
import type { LiveHandlers, LiveSocket } from './http/live-server.ts';
import type { Latest } from './ingest/latest.ts';

/** Rows of the fleet that change within this time travel together. */
const FLEET_MS = 250;

/** What pages are told, and who is told. */
export type LiveHub = LiveHandlers & {
  /** New values of a host, or none where only its status or name may have changed. */
  readonly hostChanged: (host: string, values: readonly LatestValue[]) => void;
  isWatched(host: string): boolean;
  /** Ends the sockets of a session that was signed out. */
  endSession(session: string): void;
  close(): void;
};

export function openLiveHub(latest: Latest, now: () => number): LiveHub {
  const audiences = makeAudiences();
  const changedHosts = new Set<string>();
  const findChanged = makeStatusWatch(latest);

  function hostChanged(host: string, values: readonly LatestValue[]): void {
    changedHosts.add(host);
    audiences.publish(`host/${host}`, (seq) => {
      const nowMs = now();
      const row = latest.row(host, nowMs);
      return row === null ? null : { kind: 'host-patch', topic: `host/${host}`, seq, nowMs, row, values };
    });
  }

  function publishFleet(): void {
    for (const host of findChanged(now())) hostChanged(host, []);
    if (changedHosts.size === 0) return;
    audiences.publish('fleet', (seq) => {
      const nowMs = now();
      const rows = [...changedHosts].flatMap((host) => latest.row(host, nowMs) ?? []);
      return { kind: 'fleet-patch', topic: 'fleet', seq, nowMs, rows };
    });
    changedHosts.clear();
  }

  function sendSnapshot(socket: LiveSocket, topic: Topic): void {
    socket.send(JSON.stringify(makeSnapshot(latest, topic, audiences.seq(topic), now())));
  }

  function subscribe(socket: LiveSocket, topic: Topic): void {
    if (topic !== 'fleet' && !latest.has(hostOf(topic))) {
      refuse(socket, topic, 'unknown-host', 'There is no such host');
    } else if (audiences.join(socket, topic)) {
      // Whoever asks again and again without reading is told once.
      if (socket.bufferedBytes() > BEHIND_BYTES) audiences.setBehind(socket, topic);
      else sendSnapshot(socket, topic);
    } else refuse(socket, topic, 'too-many-topics', `One socket may follow ${TOPICS_MAX} topics`);
  }

  const timer = setInterval(publishFleet, FLEET_MS);
  return {
    opened: (socket) => audiences.addSocket(socket),
    received(socket, text) {
      const request = readLiveRequest(text);
      if (!request.ok) refuse(socket, '', 'bad-request', request.error);
      else if (request.value.kind === 'subscribe') subscribe(socket, request.value.topic);
      else audiences.leave(socket, request.value.topic);
    },
    drained(socket) {
      if (socket.bufferedBytes() > BEHIND_BYTES) return; // on its way, but not there
      for (const topic of audiences.takeBehind(socket)) sendSnapshot(socket, topic);
    },
    closed: (socket) => audiences.removeSocket(socket),
    hostChanged,
    isWatched: (host) => audiences.isFollowed(`host/${host}`),
    endSession(session) {
      for (const socket of audiences.sockets()) if (socket.session === session) socket.end();
    },
    close: () => clearInterval(timer),
  };
}

/** A host falls silent without sending anything; somebody has to look. Gives the hosts whose status changed. */
function makeStatusWatch(latest: Latest): (nowMs: number) => readonly string[] {
  const statuses = new Map<string, string>();
  return (nowMs) =>
    latest.hosts().filter((host) => {
      const status = latest.status(host, nowMs) ?? '';
      if (statuses.get(host) === status) return false;
      statuses.set(host, status);
      return true;
    });
}

function hostOf(topic: Exclude<Topic, 'fleet'>): string {
  return topic.slice('host/'.length);
}

function makeSnapshot(latest: Latest, topic: Topic, seq: number, nowMs: number): LiveMessage {
  if (topic === 'fleet') {
    return { kind: 'fleet-snapshot', topic, seq, nowMs, rows: latest.rows(nowMs) };
  }
  const host = hostOf(topic);
  const row = latest.row(host, nowMs);
  if (row === null) return { kind: 'refused', topic, code: 'unknown-host', message: 'There is no such host' };
  return { kind: 'host-snapshot', topic, seq, nowMs, row, values: latest.values(host) };
}

type RefusalCode = Extract<LiveMessage, { kind: 'refused' }>['code'];

function refuse(socket: LiveSocket, topic: string, code: RefusalCode, message: string): void {
  socket.send(JSON.stringify({ kind: 'refused', topic, code, message } satisfies LiveMessage));
}
