/** How long a socket may take to open and answer, and how long a subscribe may stay without an answer. */
const ANSWER_MS_MAX = 10_000;
/** Silence after which the page asks for a new snapshot, to find out whether the connection still stands. */
const QUIET_MS_MAX = 15_000;
export const RETRY_MS_MIN = 500;
/** Nobody looks at a lost connection for longer than this without a new attempt. */
export const RETRY_MS_MAX = 10_000;

/** One connection to the collector. `failures` counts attempts since something was last heard. */
export type Link =
  | { readonly kind: 'connecting'; readonly sinceMs: number; readonly failures: number }
  | { readonly kind: 'open'; readonly heardMs: number; readonly probedMs: number | null }
  | { readonly kind: 'waiting'; readonly retryMs: number; readonly failures: number };

/** `heard`: a message came. `woken`: the tab became visible or the network came back. `ticked`: time went by. */
export type LinkEvent = 'heard' | 'closed' | 'woken' | 'ticked';

/** What the caller must do: open a socket, close the socket, or subscribe again on the open one. */
export type LinkAction = 'connect' | 'drop' | 'probe' | null;

export type LinkStep = { readonly link: Link; readonly action: LinkAction };

/** Advances a connection by one event. Pure: the caller owns the socket and gives `random` (0…1) for the jitter. */
export function stepLink(link: Link, event: LinkEvent, nowMs: number, random: number): LinkStep {
  if (event === 'ticked') return stepTime(link, nowMs, random);
  if (event === 'closed') return { link: waitAfter(link, nowMs, random), action: null };
  // A message of a socket that was given up changes nothing.
  if (event === 'heard' && link.kind !== 'waiting')
    return { link: { kind: 'open', heardMs: nowMs, probedMs: null }, action: null };
  if (event === 'woken' && link.kind === 'open') return { link: { ...link, probedMs: nowMs }, action: 'probe' };
  if (event === 'woken' && link.kind === 'waiting') return connect(link.failures, nowMs);
  return { link, action: null };
}

/** The delay before the next attempt: doubles from `RETRY_MS_MIN` to `RETRY_MS_MAX`, the upper half of it at random. */
export function retryDelayMs(failures: number, random: number): number {
  const ceilingMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** failures);
  return ceilingMs / 2 + (ceilingMs / 2) * random;
}

function stepTime(link: Link, nowMs: number, random: number): LinkStep {
  if (link.kind === 'waiting' && nowMs >= link.retryMs) return connect(link.failures, nowMs);
  if (link.kind === 'open' && link.probedMs === null && nowMs - link.heardMs >= QUIET_MS_MAX)
    return { link: { ...link, probedMs: nowMs }, action: 'probe' };
  const askedMs = link.kind === 'connecting' ? link.sinceMs : link.kind === 'open' ? link.probedMs : null;
  if (askedMs !== null && nowMs - askedMs >= ANSWER_MS_MAX)
    return { link: waitAfter(link, nowMs, random), action: 'drop' };
  return { link, action: null };
}

function connect(failures: number, nowMs: number): LinkStep {
  return { link: { kind: 'connecting', sinceMs: nowMs, failures }, action: 'connect' };
}

function waitAfter(link: Link, nowMs: number, random: number): Link {
  if (link.kind === 'waiting') return link;
  const failures = link.kind === 'open' ? 0 : link.failures;
  return { kind: 'waiting', retryMs: nowMs + retryDelayMs(failures, random), failures: failures + 1 };
}
