import { createClient, type ClickHouseClientConfigOptions } from '@clickhouse/client';
import { createChdbConnection } from 'chdb/connection';

import { isRecord } from '@muster/proto/record';

import { StoreError } from '../domain/store-error.ts';
import type { Engine, QueryParameters, Session } from './store.ts';
import { makeTurns } from './turns.ts';

/** A session of the embedded engine. */
export type Client = Pick<Engine, 'command' | 'close'> & {
  /** `begin` is called when its turn has come. */
  readonly query: (sql: string, parameters?: QueryParameters, begin?: () => void) => Promise<Rows>;
  /** Runs a task while nothing else is under way in the session, with a way to run commands in it. */
  readonly pause: <T>(task: (command: Engine['command']) => Promise<T>) => Promise<T>;
};

/**
 * Opens a session. It does one thing at a time, and whatever waits for it in the engine holds a thread of the few that
 * also read and write files: a handful of heavy reads would stop everything else. So it waits here.
 */
export function connect(path: string): Client {
  const connection: unknown = createChdbConnection({ path });
  // The two packages describe one contract, each in its own copy of the types.
  const client = createClient({ connection: connection as NonNullable<ClickHouseClientConfigOptions['connection']> });
  const inTurn = makeTurns();
  let closed = false;
  const run = <T>(task: () => Promise<T>): Promise<T> =>
    inTurn(() => (closed ? Promise.reject(new Error('The store is closing')) : task()));
  const command = async (query: string): Promise<void> => void (await client.command({ query }));
  return {
    query: (query, parameters, begin) =>
      run(async () => {
        begin?.();
        const result = await client.query({ query, query_params: { ...parameters }, format: 'JSONEachRow' });
        return result.json<Record<string, unknown>>();
      }),
    command: (query) => run(() => command(query)),
    pause: (task) => run(() => task(command)),
    /** What waits fails; resolves when what is under way has ended. */
    close() {
      closed = true;
      return inTurn(() => client.close());
    },
  };
}

/** Sessions for long work, beside those of the engine itself; `close` ends those that are open still. */
export function makeSessions(path: string, database: string) {
  const clients = new Set<Client>();
  return {
    open: async (): Promise<Session> => {
      const client = connect(path);
      clients.add(client);
      await client.command(`USE ${database}`);
      return {
        query: (sql, parameters) => client.query(sql, parameters),
        command: client.command,
        async close() {
          clients.delete(client);
          await client.close();
        },
      };
    },
    close: () => Promise.all([...clients].map((client) => client.close())),
  };
}

type Rows = readonly Record<string, unknown>[];

/** Reads in one session what people ask; each read is marked, so that it can be ended from `looker`, another one. */
export function makeRead(reader: Client, looker: Client) {
  let reads = 0;
  return async (sql: string, parameters: QueryParameters, signal?: AbortSignal): Promise<Rows> => {
    const mark = `/* read ${(reads += 1)} */`;
    const end = (): void =>
      void looker.command(`KILL QUERY WHERE startsWith(query, '${mark}') ASYNC`).catch(() => undefined);
    const begin = (): void => {
      signal?.throwIfAborted();
      signal?.addEventListener('abort', end);
    };
    try {
      return await reader.query(`${mark} ${sql}`, parameters, begin);
    } catch (cause) {
      throw makeReadError(cause);
    } finally {
      signal?.removeEventListener('abort', end);
    }
  };
}

/** What was given up has a sentence for whoever asked; the rest is thrown as it is. */
function makeReadError(cause: unknown): unknown {
  const code = isRecord(cause) ? String(cause['code']) : '';
  const isTooMuch = code === TIMEOUT_EXCEEDED || code === MEMORY_LIMIT_EXCEEDED;
  return isTooMuch
    ? new StoreError('Cannot answer: it is too much to read; ask for a shorter time', false, cause)
    : cause;
}

const TIMEOUT_EXCEEDED = '159';
const MEMORY_LIMIT_EXCEEDED = '241';
