import { err, ok, type Result } from '@muster/proto/result';

import { parseEvents, parseInspected, parseList, type EngineEvent, type Inspected, type Listed } from './answers.ts';
import type { Engine } from './engine.ts';
import { parseStats, type Usage } from './usage.ts';

/** Of a thousand containers with many labels each. */
const LIST_BYTES_MAX = 8 * 1024 * 1024;
/** A long environment and the output of five health checks. */
const INSPECT_BYTES_MAX = 1024 * 1024;
/** Counters of each core of a large machine. */
const STATS_BYTES_MAX = 1024 * 1024;
/** Docker remembers 256 events; Podman has them all. */
const EVENTS_BYTES_MAX = 1024 * 1024;
/** Nobody wants to hear of deaths from before that. */
const EVENTS_MS_MAX = 10 * 60_000;
/** `died`: Podman filters by its own word, and answers with Docker's. */
const EVENTS_FILTER = encodeURIComponent('{"type":["container"],"event":["die","died","oom","kill"]}');

export type List = { readonly listed: readonly Listed[]; readonly malformed: number; readonly isPodman: boolean };

/** Every container, whether it runs or not. */
export async function askList(engine: Engine, signal: AbortSignal): Promise<Result<List, string>> {
  const answer = await engine.get('/containers/json?all=true', LIST_BYTES_MAX, signal);
  if (!answer.ok) return err(answer.error.reason);
  const list = parseList(answer.value.text);
  if (list === null)
    return err(`what answers at ${engine.socket} is no container engine: it gives no list of containers`);
  return ok({ ...list, isPodman: answer.value.isPodman });
}

/** What is known of these by id, as far as the engine says; the error is its last fault, but for containers that are gone. */
export async function askEach<T>(
  containers: readonly Listed[],
  ask: (one: Listed) => Promise<Result<T | null, string>>,
): Promise<{ readonly answers: ReadonlyMap<string, T>; readonly fault: string | null }> {
  const answers = new Map<string, T>();
  let fault: string | null = null;
  await Promise.all(
    containers.map(async (one) => {
      const answer = await ask(one);
      if (!answer.ok) fault = answer.error;
      else if (answer.value !== null) answers.set(one.id, answer.value);
    }),
  );
  return { answers, fault };
}

/** Null when it is gone meanwhile. */
export async function askInspected(
  engine: Engine,
  { id }: Listed,
  signal: AbortSignal,
): Promise<Result<Inspected | null, string>> {
  const answer = await engine.get(`/containers/${id}/json`, INSPECT_BYTES_MAX, signal);
  if (!answer.ok) return answer.error.status === 404 ? ok(null) : err(answer.error.reason);
  const inspected = parseInspected(answer.value.text);
  return inspected === null ? err(`the engine at ${engine.socket} does not say how a container is`) : ok(inspected);
}

/** Null when it is gone or has ended meanwhile. One shot: otherwise Docker waits a second to see what changes. */
export async function askStats(
  engine: Engine,
  { id }: Listed,
  signal: AbortSignal,
): Promise<Result<Usage | null, string>> {
  const answer = await engine.get(`/containers/${id}/stats?stream=false&one-shot=true`, STATS_BYTES_MAX, signal);
  if (answer.ok) return ok(parseStats(answer.value.text));
  // Podman: 409 for one that does not run.
  return answer.error.status === 404 || answer.error.status === 409 ? ok(null) : err(answer.error.reason);
}

/** Asks what happened since it was asked last; the first time nothing. Some of it may be told twice, with the same key. */
export function makeEventQuestion() {
  let sinceMs: number | null = null;
  return async (
    engine: Engine,
    { isPodman, nowMs, signal }: { readonly isPodman: boolean; readonly nowMs: number; readonly signal: AbortSignal },
  ): Promise<Result<readonly EngineEvent[], string>> => {
    if (sinceMs === null) {
      sinceMs = nowMs;
      return ok([]);
    }
    // Whole seconds, which both understand. An end that lies ahead is waited for by Docker; one that does not makes Podman
    // (file logger, 4.3) say nothing, which has `stream` instead.
    const from = Math.floor(Math.min(nowMs, Math.max(sinceMs, nowMs - EVENTS_MS_MAX)) / 1000);
    const range = `since=${from}${isPodman ? '' : `&until=${Math.floor(nowMs / 1000)}`}`;
    const answer = await engine.get(`/events?stream=false&${range}&filters=${EVENTS_FILTER}`, EVENTS_BYTES_MAX, signal);
    if (!answer.ok) return err(`what happens to containers is not known: ${answer.error.reason}`);
    sinceMs = nowMs;
    return ok(parseEvents(answer.value.text));
  };
}
