import type { Log } from '@muster/proto/log';
import * as v from 'valibot';

import { absolutePath, count, list, text } from '../settings.ts';
import type { Finding, Source } from '../source.ts';
import { findCgroupVersion } from './cgroup.ts';
import { parseVersion } from './container/answers.ts';
import { makeEngineFinder, type Engine } from './container/engine.ts';
import { SETTLE_MS } from './container/names.ts';
import { askList } from './container/questions.ts';
import { makeWatch, type WatchOptions } from './container/watch.ts';

/** What changes within seconds is in the events; more often costs an engine with many containers too much. */
const EVERY_MS = 10_000;
/** How long the engine may take to answer all that it is asked in one reading, or by a doctor. */
const ANSWER_MS_MAX = 5_000;
/** A build host has more, of which few are worth a series. */
const LIMIT = 200;
/** About 25 series each: more than half of what a batch may hold. */
const LIMIT_MAX = 500;
const VERSION_BYTES_MAX = 64 * 1024;

export const CONTAINER_SETTINGS = {
  socket: v.optional(absolutePath),
  limit: v.optional(count(1, LIMIT_MAX)),
  include: v.optional(list(text)),
  exclude: v.optional(list(text)),
};

export type ContainerSettings = v.InferOutput<v.StrictObjectSchema<typeof CONTAINER_SETTINGS, string>>;

/** As good as root: whoever may speak to it may start a container that is the host. */
const WARNING = 'whoever may use this socket can make himself root of this host; the agent only reads from it';

/** Opens the source as the configuration wants it, and says once what it means to have it on. */
export function openContainerSource(
  { socket, limit = LIMIT, include = [], exclude = [] }: ContainerSettings,
  { root, now, log }: { readonly root: string; readonly now: () => number; readonly log?: Log },
): Source {
  log?.warn('containers.socket', { warning: WARNING, next: 'sources.containers: false switches it off' });
  return makeContainerSource({
    root,
    now,
    socket,
    answerMsMax: ANSWER_MS_MAX,
    names: { limit, include, exclude, settleMs: SETTLE_MS },
  });
}

export type ContainerOptions = WatchOptions & {
  /** Undefined: the first of SOCKET_PATHS that is there. */
  readonly socket: string | undefined;
  readonly answerMsMax: number;
};

/**
 * The engine is asked for its list of containers, for what happened to them, and for one of them only when there is something
 * to ask; what they use is read from the kernel's files. With 50 containers of Podman a reading takes 12 ms of CPU of ours and
 * 54 ms of the engine's; asked for what they use as well, 26 ms and 170 ms.
 */
export function makeContainerSource(options: ContainerOptions): Source {
  const { root, now, answerMsMax } = options;
  const finder = makeEngineFinder(root, options.socket);
  const watch = makeWatch(options);
  return {
    name: 'containers',
    everyMs: EVERY_MS,
    read: () =>
      within(answerMsMax, async (signal) => {
        const engine = await finder.find();
        return engine.ok ? watch(engine.value, signal) : engine;
      }),
    diagnose: () =>
      within(answerMsMax, async (signal) => {
        const engine = await finder.find();
        return engine.ok ? diagnose(engine.value, { root, nowMs: now(), signal }) : [];
      }),
    close: () => finder.close(),
  };
}

async function within<T>(durationMs: number, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const reason = new Error(`does not answer all that it is asked within ${durationMs / 1000} s`);
  const timer = setTimeout(() => controller.abort(reason), durationMs);
  try {
    return await run(controller.signal);
  } finally {
    clearTimeout(timer);
  }
}

async function diagnose(
  engine: Engine,
  { root, nowMs, signal }: { readonly root: string; readonly nowMs: number; readonly signal: AbortSignal },
): Promise<readonly Finding[]> {
  const findings: Finding[] = [{ what: `${engine.socket}: ${WARNING}` }];
  const version = await engine.get('/version', VERSION_BYTES_MAX, signal);
  if (!version.ok) return [...findings, { what: version.error.reason }];
  findings.push({ what: parseVersion(version.value.text) ?? 'the engine does not say which it is' });
  const cgroup = findCgroupVersion(root);
  findings.push(
    cgroup === null
      ? { what: 'control groups cannot be seen', next: 'give the agent /sys/fs/cgroup of the host' }
      : { what: `control groups: ${cgroup}` },
  );
  const answer = await askList(engine, signal);
  if (!answer.ok) return [...findings, { what: answer.error }];
  const { listed } = answer.value;
  const running = listed.filter(({ state }) => state === 'running').length;
  const young = listed.filter(({ createdMs }) => nowMs - createdMs < SETTLE_MS).length;
  findings.push({ what: `${listed.length} containers, ${running} of which run` });
  if (young > 0) findings.push({ what: `${young} are not yet a minute old, and have no series before they are` });
  return findings;
}
