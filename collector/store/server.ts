import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';

import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';

import type { Claim, Guard } from './claim.ts';
import type { Given } from './claims.ts';
import type { Purpose } from './former-claims.ts';
import { encodeBlock } from './native.ts';
import type { ServerAddress } from './server-address.ts';
import { connect, endStatements, prepareDatabase, statementsOf, stopStatements } from './server-client.ts';
import { describeWriteFault, findServerFault, isAnswer } from './server-fault.ts';
import { READ_MEMORY_BYTES_MAX, READ_SECONDS_MAX, type Engine } from './store.ts';
import { makeTurns } from './turns.ts';

/** An agent waits 10 s for its answer, and a commit may have to wait for another; then the server is as good as away. */
const INSERT_MS_MAX = 30_000;
/** The connection waits a little longer. */
const READ_MS_MAX = (READ_SECONDS_MAX + 10) * 1_000;
/** A rollup of a day, the schema of a large table, or what we look up ourselves. */
const COMMAND_MS_MAX = 600_000;
/** Each its own, so that reads that wait keep no insert from its connection. */
const CONNECTIONS = { inserts: 4, reads: 8, lookups: 2, commands: 2 } as const;

/** A query that nobody waits for any more is cancelled; the server does so for those that cannot write, alone. */
const LOOKUP_SETTINGS: ClickHouseSettings = { readonly: '2', cancel_http_readonly_queries_on_client_close: 1 };
const READ_SETTINGS: ClickHouseSettings = {
  ...LOOKUP_SETTINGS,
  max_execution_time: READ_SECONDS_MAX,
  max_memory_usage: String(READ_MEMORY_BYTES_MAX),
};

export type ServerEngine = Engine & {
  /** Appends blocks that a ClickHouse has written, compressed by zstd: `columns` in their order. */
  readonly insertNative: (table: string, columns: readonly string[], body: Readable) => Promise<void>;
};

/**
 * Opens a database on a ClickHouse server, creating it where it is missing. Throws a StoreError that says what to do; one
 * of an outage may pass, others do not. What is written goes on as long as `claim` holds; without one, nobody else may
 * write there.
 *
 * While `swap` runs its task, who reads may see the state before it and the one after it together.
 */
export async function openServer(address: ServerAddress, claim: Claim | null = null): Promise<ServerEngine> {
  const { database } = address;
  const guards = await openGuards(address, claim);
  const writer = connect(address, { database, connections: CONNECTIONS.inserts, msMax: INSERT_MS_MAX });
  const reader = connect(address, { database, connections: CONNECTIONS.reads, msMax: READ_MS_MAX });
  const looker = connect(address, { database, connections: CONNECTIONS.lookups, msMax: COMMAND_MS_MAX });
  const worker = connect(address, { database, connections: CONNECTIONS.commands, msMax: COMMAND_MS_MAX });
  // What it sends is compressed already.
  const copier = connect(address, { database, connections: 1, msMax: COMMAND_MS_MAX, isPlain: true });
  const closing = new AbortController();
  const inTurn = makeTurns();
  const { follow, ended } = makeFollowed();
  /** The command of which nobody knows how it ended. What it does late must not meet what is done after it. */
  let lost: string | null = null;

  async function command(sql: string): Promise<void> {
    try {
      if (lost !== null) await stopStatements(worker, `query_id = '${lost}'`);
      await guards.commands(async (given) => {
        lost = given.query_id;
        await worker.command({ query: sql, ...given }).catch((cause: unknown) => {
          if (isAnswer(cause)) lost = null;
          throw cause;
        });
        lost = null;
      });
    } catch (cause) {
      throw describeWriteFault(cause);
    }
  }

  return {
    insert: (table, rows, columns) => {
      const names = columns.map(({ name }) => name);
      const block = encodeBlock(rows, columns);
      const send = (given: Given): Promise<void> =>
        insertBody(writer, formatInsert(table, names), { ...given, values: Readable.from([block]) });
      return follow(guards.inserts(send).catch(throwWriteFault));
    },
    insertNative: (table, columns, values) => {
      const http_headers = { 'Content-Encoding': 'zstd' };
      return follow(insertBody(copier, formatInsert(table, columns), { values, http_headers }).catch(throwWriteFault));
    },
    async query(query, parameters, signal = closing.signal) {
      // What has values bound is what people ask.
      const [client, limits] = parameters === undefined ? [looker, LOOKUP_SETTINGS] : [reader, READ_SETTINGS];
      const given = { query, query_params: { ...parameters }, clickhouse_settings: limits };
      try {
        const abort_signal = AbortSignal.any([closing.signal, signal]);
        const result = await client.query({ ...given, format: 'JSONEachRow', abort_signal });
        return await result.json<Record<string, unknown>>();
      } catch (cause) {
        if (closing.signal.aborted) throw new Error('The store is closing', { cause });
        signal.throwIfAborted();
        throw findServerFault(cause) ?? cause;
      }
    },
    command: (sql) => follow(inTurn(() => command(sql))),
    swap: (task) => follow(inTurn(() => task(command))),
    flush: () => Promise.resolve(),
    openSession: () => Promise.reject(new Error('A session is for backups, which a ClickHouse server makes itself')),
    async close() {
      closing.abort();
      await ended();
      for (const client of [reader, looker, worker, writer, copier]) await client.close();
    },
  };
}

/** How statements are sent: in sessions of a claim, or by who is alone, once nothing of an earlier process goes on. */
async function openGuards(address: ServerAddress, claim: Claim | null): Promise<Readonly<Record<Purpose, Guard>>> {
  if (claim !== null) return { inserts: claim.guard('inserts'), commands: claim.guard('commands') };
  await prepareDatabase(address);
  await endStatements(address);
  const send: Guard = (act) => act({ query_id: `${statementsOf(address)}${randomUUID()}` });
  return { inserts: send, commands: send };
}

/** Knows what is under way. */
function makeFollowed() {
  const underWay = new Set<Promise<unknown>>();
  return {
    follow: <T>(task: Promise<T>): Promise<T> => {
      const done = task.finally(() => underWay.delete(done));
      done.catch(() => undefined);
      underWay.add(done);
      return done;
    },
    ended: () => Promise.allSettled(underWay),
  };
}

function formatInsert(table: string, columns: readonly string[]): string {
  return `INSERT INTO ${table} (${columns.join(', ')}) FORMAT Native`;
}

function throwWriteFault(cause: unknown): never {
  throw describeWriteFault(cause);
}

async function insertBody(
  client: ClickHouseClient,
  query: string,
  given: Omit<Parameters<ClickHouseClient['exec']>[0], 'query'> & { readonly values: Readable },
): Promise<void> {
  const { stream } = await client.exec({ query, ...given });
  stream.resume(); // nothing is in it
  await finished(stream);
}
