import { LIVE_PATH, type LiveMessage, type LiveRequest, type Topic } from '@muster/proto/live';
import { type Accessor, createMemo, createSignal, onCleanup } from 'solid-js';

import type { Api } from './api.ts';
import type { Clock } from './clock.ts';
import { type Link, type LinkEvent, stepLink } from './live-link.ts';
import { readLiveMessage, stepTopic, type TopicSeq } from './live-topic.ts';

const TICK_MS = 250;

export type LiveState = 'live' | 'connecting' | 'lost';
export type LiveHandler = (message: LiveMessage) => void;

export type Live = {
  /** `lost` only after something was heard or an attempt failed. */
  readonly state: Accessor<LiveState>;
  /** When the collector was last heard, by the browser's clock; null: never. */
  readonly heardMs: Accessor<number | null>;
  /** Rises each time that the connection stands again, after which whatever was missed must be fetched. */
  readonly connections: Accessor<number>;
  /**
   * Gives every snapshot and patch of a topic to `handler`, in order and without a hole: after one, a new snapshot
   * comes first. One handler per topic. Returns what ends it.
   */
  readonly follow: (topic: Topic, handler: LiveHandler) => () => void;
};

type Following = { readonly handler: LiveHandler; seq: TopicSeq };

/** The connection to the collector: opens it, keeps it, and closes it with the owner. */
export function createLive(api: Api, clock: Clock): Live {
  const following = new Map<string, Following>();
  const [link, setLink] = createSignal<Link>({ kind: 'connecting', sinceMs: Date.now(), failures: 0 });
  const [heardMs, setHeardMs] = createSignal<number | null>(null);
  const [connections, setConnections] = createSignal(0);
  let socket: WebSocket | null = null;

  const dispatch = (event: LinkEvent): void => {
    const before = link();
    const step = stepLink(before, event, Date.now(), Math.random());
    setLink(step.link);
    if (before.kind === 'connecting' && step.link.kind === 'open') setConnections((count) => count + 1);
    if (step.action === 'connect') void reconnect();
    if (step.action === 'drop') drop();
    if (step.action === 'probe') subscribeAll();
  };

  const send = (request: LiveRequest): void => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request));
  };
  const subscribe = (topic: string, entry: Following): void => {
    entry.seq = null;
    send({ kind: 'subscribe', topic: topic as Topic }); // the keys of `following` are the topics given to `follow`
  };
  const subscribeAll = (): void => {
    for (const [topic, entry] of following) subscribe(topic, entry);
  };

  const take = (text: string): void => {
    const message = readLiveMessage(text);
    setHeardMs(Date.now());
    dispatch('heard');
    const entry = message === null ? undefined : following.get(message.topic);
    if (message === null || entry === undefined) return;
    if (message.kind === 'refused') return entry.handler(message);
    clock.adjust(message.nowMs);
    const step = stepTopic(entry.seq, message);
    entry.seq = step.seq;
    if (step.act === 'apply') entry.handler(message);
    if (step.act === 'resubscribe') subscribe(message.topic, entry);
  };

  const connect = (): void => {
    const opened = new WebSocket(liveUrl(window.location));
    socket = opened;
    // A socket that was given up may still speak; only the newest counts.
    const whileCurrent = (act: () => void) => () => (socket === opened ? act() : undefined);
    opened.addEventListener('open', whileCurrent(subscribeAll));
    opened.addEventListener(
      'close',
      whileCurrent(() => dispatch('closed')),
    );
    opened.addEventListener('message', (event) => {
      if (socket === opened && typeof event.data === 'string') take(event.data);
    });
  };
  const drop = (): void => {
    socket?.close();
    socket = null;
  };
  /** A refused upgrade does not say why, so the session is asked for first; a 401 ends with the sign-in page. */
  const reconnect = async (): Promise<void> => {
    const attempt = link();
    const reply = await api.readSession();
    if (link() !== attempt) return;
    if (reply.ok) connect();
    else dispatch('closed');
  };

  connect();
  onCleanup(watchTime(dispatch));
  onCleanup(drop);
  return {
    state: createMemo(() => stateOf(link())),
    heardMs,
    connections,
    follow: (topic, handler) => {
      const entry: Following = { handler, seq: null };
      following.set(topic, entry);
      subscribe(topic, entry);
      return () => {
        if (following.get(topic) !== entry) return;
        following.delete(topic);
        send({ kind: 'unsubscribe', topic });
      };
    },
  };
}

function stateOf(link: Link): LiveState {
  if (link.kind === 'open') return 'live';
  return link.failures === 0 ? 'connecting' : 'lost';
}

/** Tells the passing of time and whatever makes a new attempt worth it now. Returns what stops it. */
function watchTime(dispatch: (event: LinkEvent) => void): () => void {
  const timer = setInterval(() => dispatch('ticked'), TICK_MS);
  const wake = (): void => {
    if (document.visibilityState === 'visible') dispatch('woken');
  };
  document.addEventListener('visibilitychange', wake);
  window.addEventListener('online', wake);
  return () => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', wake);
    window.removeEventListener('online', wake);
  };
}

function liveUrl(location: Location): string {
  return `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}${LIVE_PATH}`;
}
