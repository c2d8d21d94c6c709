import { TEXT_LENGTH_MAX, type Moment, type MomentKind } from '@muster/proto/event';

import type { EngineEvent } from './answers.ts';

/** A container that dies again and again is told once in this time, with how often it was meanwhile. */
const QUIET_MS = 10 * 60_000;
/** More than this in an hour tells nobody more. */
const HOUR_MS = 3_600_000;
const HOURLY_MAX = 60;
/** Whoever has a container stopped waits ten seconds for it, or says so. */
const ASKED_MS = 60_000;
/** Of signals and events that are remembered: a bound for an engine that goes mad. */
const REMEMBERED_MAX = 10_000;
/** SIGHUP, SIGUSR1 and SIGUSR2 ask for other things than an end. */
const OTHER_SIGNALS: ReadonlySet<number | null> = new Set([1, 10, 12]);
/** 128 + SIGINT and SIGTERM: it was asked to end, and did. */
const ASKED_CODES: ReadonlySet<number | null> = new Set([130, 143]);

/**
 * Says what of all that happens to containers is news: one that died with an exit code other than 0 without having been
 * asked to, that was killed for want of memory, that is unhealthy.
 */
export function makeMoments() {
  const told = new Map<string, { readonly atMs: number; more: number }>();
  const askedMs = new Map<string, number>();
  let taken = new Set<string>();
  let hour = { index: -1, count: 0 };

  function tell(kind: MomentKind, name: string, why: string, atMs: number): Moment | null {
    const key = `${kind} ${name}`;
    const last = told.get(key);
    if (last !== undefined && Math.abs(atMs - last.atMs) < QUIET_MS) {
      last.more += 1;
      return null;
    }
    const index = Math.floor(atMs / HOUR_MS);
    if (index !== hour.index) hour = { index, count: 0 };
    hour.count += 1;
    if (hour.count > HOURLY_MAX) return null;
    const again = last === undefined || last.more === 0 ? '' : `, and ${last.more} times more since it was told last`;
    told.delete(key);
    told.set(key, { atMs, more: 0 });
    const words = `: ${hour.count === HOURLY_MAX ? `${why}; no more is told in this hour` : why}${again}`;
    // Of a name that is too long the end is left out, and not what happened.
    return { kind, atMs, subject: `${name.slice(0, TEXT_LENGTH_MAX - words.length)}${words}` };
  }

  function takeEvent({ kind, id, name, code, atMs }: EngineEvent): Moment | null {
    if (kind === 'kill') {
      if (!OTHER_SIGNALS.has(code)) askedMs.set(id, atMs);
      return null;
    }
    if (kind === 'oom') return tell('container-oom', name, 'a process was killed for want of memory', atMs);
    const wasAsked = atMs - (askedMs.get(id) ?? -Infinity) < ASKED_MS || ASKED_CODES.has(code);
    askedMs.delete(id);
    if (wasAsked || code === 0 || code === null) return null;
    return tell('container-died', name, `exited with ${code}`, atMs);
  }

  return {
    tell,
    /** What of these events is news, of which some may have been given before. */
    take: (events: readonly EngineEvent[], nowMs: number): Moment[] => {
      forget(told, ({ atMs }) => nowMs - atMs > 2 * QUIET_MS);
      forget(askedMs, (atMs) => nowMs - atMs > ASKED_MS);
      const fresh = events.filter(({ key }) => !taken.has(key));
      taken = new Set(events.map(({ key }) => key));
      return fresh.flatMap((event) => takeEvent(event) ?? []);
    },
  };
}

function forget<T>(entries: Map<string, T>, isOver: (value: T) => boolean): void {
  for (const [key, value] of entries) if (isOver(value) || entries.size > REMEMBERED_MAX) entries.delete(key);
}
