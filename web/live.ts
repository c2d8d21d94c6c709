import { LIVE_PATH } from '@muster/proto/live';
import { type Accessor, createMemo, createSignal, onCleanup } from 'solid-js';

import type { Api } from './api.ts';
import type { Clock } from './clock.ts';
import { type Link, type LinkEvent, stepLink } from './live-link.ts';
import { readLiveMessage } from './live-topic.ts';
import { type LiveTopics, makeLiveTopics } from './live-topics.ts';

const TICK_MS = 250;

export type LiveState = 'live' | 'connecting' | 'lost';

export type Live = Pick<LiveTopics, 'follow'> & {
  /** `lost` only after something was heard or an attempt failed. */
  readonly state: Accessor<LiveState>;
  /** When the collector was last heard, by the browser's clock, for the eye only; null: never. */
  readonly heardMs: Accessor<number | null>;
  /** Rises each time that the connection stands again after a failure; whatever was missed must then be fetched. */
  readonly reconnections: Accessor<number>;
};

/**
 * The connection to the collector: opens it, keeps it, and closes it with the owner. Its waits are measured by
 * `performance.now()`, because the browser's clock may be set while they last.
 */
export function createLive(api: Api, clock: Clock): Live {
  const [link, setLink] = createSignal<Link>({ kind: 'connecting', sinceMs: performance.now(), failures: 0 });
  const [heardMs, setHeardMs] = createSignal<number | null>(null);
  const [reconnections, setReconnections] = createSignal(0);
  let socket: WebSocket | null = null;
  let ended = false;
  const topics = makeLiveTopics((request) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request));
  });

  const dispatch = (event: LinkEvent): void => {
    const before = link();
    const step = stepLink(before, event, performance.now(), Math.random());
    setLink(step.link);
    if (before.kind === 'connecting' && before.failures > 0 && step.link.kind === 'open')
      setReconnections((count) => count + 1);
    if (step.action === 'connect') void reconnect();
    if (step.action === 'drop') drop();
    if (step.action === 'probe') topics.subscribeAll();
  };
  const take = (text: string): void => {
    const message = readLiveMessage(text);
    setHeardMs(Date.now());
    dispatch('heard');
    if (message === null) return;
    if (message.kind !== 'refused') clock.adjust(message.nowMs);
    topics.take(message);
  };
  const connect = (): void => {
    const opened = new WebSocket(liveUrl(window.location));
    socket = opened;
    // A socket that was given up may still speak; only the newest counts.
    const whileCurrent = (act: () => void) => () => (socket === opened ? act() : undefined);
    opened.addEventListener('open', whileCurrent(topics.subscribeAll));
    opened.addEventListener(
      'close',
      whileCurrent(() => dispatch('closed')),
    );
    opened.addEventListener('message', (event) => {
      if (socket === opened && typeof event.data === 'string') take(event.data);
    });
  };
  const drop = (): void => {
    const dropped = socket;
    socket = null;
    dropped?.close();
  };
  /** A refused upgrade does not say why, so the session is asked for first; a 401 ends with the sign-in page. */
  const reconnect = async (): Promise<void> => {
    const attempt = link();
    const reply = await api.readSession();
    if (ended || link() !== attempt) return;
    if (reply.ok) connect();
    else dispatch('closed');
  };

  connect();
  onCleanup(watchTime(dispatch));
  onCleanup(() => {
    ended = true;
    drop();
  });
  return { state: createMemo(() => stateOf(link())), heardMs, reconnections, follow: topics.follow };
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
