import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { describeError } from '@muster/proto/log';
import { err, ok, type Result } from '@muster/proto/result';

import { codeOf } from '../../code-of.ts';
import { openHttpClient, readBody } from '../../http-client.ts';

/** Where engines listen, in the order in which they are looked for: Docker, Docker on old systems, Podman. */
export const SOCKET_PATHS = ['/run/docker.sock', '/var/run/docker.sock', '/run/podman/podman.sock'] as const;

/** So many requests at once: enough to be done in time, few enough that an engine that is busy feels nothing of it. */
const CONNECTIONS = 4;
/** Between two readings. */
const KEEP_MS = 30_000;

/** An answer with status 200. `isPodman`: it was Podman's service that gave it, which differs where its comments say. */
export type Answer = { readonly text: string; readonly isPodman: boolean };

/** `status` is that of the answer; null when there was none, and then the engine need not be asked for more. */
export type Refusal = { readonly status: number | null; readonly reason: string };

export type Engine = {
  readonly socket: string;
  /** Paths have no version, which every engine takes for its newest: old ones are no longer spoken everywhere. */
  readonly get: (path: string, bytesMax: number, signal: AbortSignal) => Promise<Result<Answer, Refusal>>;
  readonly close: () => Promise<void>;
};

/**
 * Gives the engine at the socket, or at the first of SOCKET_PATHS that is there when none is named. It is looked for each
 * time: engines are installed, and replaced by others, while the agent runs.
 */
export function makeEngineFinder(root: string, named: string | undefined) {
  let engine: Engine | null = null;
  return {
    find: async (): Promise<Result<Engine, string>> => {
      const socket = named ?? SOCKET_PATHS.map((path) => join(root, path)).find((path) => existsSync(path));
      if (engine !== null && engine.socket !== socket) {
        await engine.close();
        engine = null;
      }
      if (socket === undefined) return err(`there is no socket at ${SOCKET_PATHS.join(', ')}: ${NO_SOCKET}`);
      engine ??= openEngine(socket);
      return ok(engine);
    },
    close: async () => engine?.close(),
  };
}

const NO_SOCKET =
  'start the engine (for Podman: systemctl enable --now podman.socket), or name it by sources.containers.socket';

export function openEngine(socket: string): Engine {
  const client = openHttpClient({ socketPath: socket }, { keepMs: KEEP_MS, connections: CONNECTIONS });
  return {
    socket,
    get: async (path, bytesMax, signal) => {
      try {
        const { status, headers, body } = await client.request({ method: 'GET', path, signal });
        const bytes = await readBody(body, bytesMax);
        if (bytes === null) return refuse(status, `answers with more than ${bytesMax} bytes`);
        const text = bytes.toString('utf8');
        if (status !== 200) return refuse(status, `answers with ${status}: ${text.slice(0, 200).trim()}`);
        return ok({ text, isPodman: /^libpod/i.test(String(headers['server'])) });
      } catch (cause) {
        return refuse(null, describeFailure(cause, signal));
      }
    },
    close: async () => client.close(),
  };

  function refuse(status: number | null, reason: string): Result<never, Refusal> {
    return err({ status, reason: `the engine at ${socket} ${reason}` });
  }
}

function describeFailure(cause: unknown, signal: AbortSignal): string {
  if (signal.aborted) return describeError(signal.reason);
  return REASONS.get(codeOf(cause)) ?? `cannot be asked: ${describeError(cause)}`;
}

const REASONS: ReadonlyMap<string, string> = new Map([
  [
    'EACCES',
    'lets only its group in: give the agent that group, with SupplementaryGroups=docker in a drop-in of its unit ' +
      '(the group of the socket, as ls -l shows it)',
  ],
  ['ECONNREFUSED', 'does not listen: start it, or name another socket by sources.containers.socket'],
  ['ENOENT', 'is not there: start it, or name another socket by sources.containers.socket'],
]);
