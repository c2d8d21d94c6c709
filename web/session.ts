import { type Accessor, createSignal, onCleanup } from 'solid-js';

import { type Api, type Fault, makeApi } from './api.ts';

/** `message` is why the last try to sign in was refused, or ''. */
export type SessionState =
  | { readonly kind: 'checking' }
  | { readonly kind: 'signed-in' }
  | { readonly kind: 'signed-out'; readonly message: string }
  | { readonly kind: 'unreachable'; readonly message: string };

export type Session = {
  readonly api: Api;
  readonly state: Accessor<SessionState>;
  /** Looks for a key in the address bar, else for a session that the browser still has. */
  readonly check: () => Promise<void>;
  readonly signIn: (key: string) => Promise<void>;
  /** Gives the fault when the session may still stand; only the collector can end it. */
  readonly signOut: () => Promise<Fault | null>;
};

/**
 * Who is looking. Takes `#key=…` out of the address bar at once, also when such a link is opened in a page that is
 * already there, so that it stays neither on screen nor in the history.
 */
export function createSession(): Session {
  const [state, setState] = createSignal<SessionState>({ kind: 'checking' });
  const refuse = (fault: Fault): void => {
    // Nobody has to be told why they must sign in before they tried.
    const message = state().kind === 'checking' ? '' : fault.message;
    setState({ kind: 'signed-out', message });
  };
  const api = makeApi((input, init) => fetch(input, init), refuse);

  const signIn = async (key: string): Promise<void> => {
    const reply = await api.openSession(key);
    setState(reply.ok ? { kind: 'signed-in' } : { kind: 'signed-out', message: reply.error.message });
  };
  const check = async (): Promise<void> => {
    const key = takeKey(window.location, window.history);
    if (key !== null) return signIn(key);
    const reply = await api.readSession();
    if (reply.ok) setState({ kind: 'signed-in' });
    else if (reply.error.status !== 401) setState({ kind: 'unreachable', message: reply.error.message });
  };
  const signOut = async (): Promise<Fault | null> => {
    const reply = await api.closeSession();
    if (!reply.ok && reply.error.status !== 401) return reply.error;
    setState({ kind: 'signed-out', message: '' });
    return null;
  };

  // Registered before the router's own listener, which would otherwise keep the key as part of its location.
  const takeLateKey = (): void => {
    const key = takeKey(window.location, window.history);
    if (key !== null) void signIn(key);
  };
  window.addEventListener('popstate', takeLateKey);
  onCleanup(() => window.removeEventListener('popstate', takeLateKey));
  return { api, state, check, signIn, signOut };
}

/** The key in a text: a bare key, or the link that `npm start` printed. */
export function parseKey(text: string): string {
  const trimmed = text.trim();
  const start = trimmed.indexOf('#key=');
  return start === -1 ? trimmed : decode(trimmed.slice(start + '#key='.length));
}

/** Reads the key of the address bar and removes it there; null when there is none. */
export function takeKey(
  location: Pick<Location, 'hash' | 'pathname' | 'search'>,
  history: Pick<History, 'replaceState' | 'state'>,
): string | null {
  if (!location.hash.startsWith('#key=')) return null;
  const key = parseKey(location.hash);
  history.replaceState(history.state, '', `${location.pathname}${location.search}`);
  return key === '' ? null : key;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
