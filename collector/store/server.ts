import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { ClickHouseLogLevel, createClient, type ClickHouseClient, type ClickHouseSettings } from '@clickhouse/client';

import { isThisMachine } from '@muster/proto/options';

import { StoreError } from '../domain/store-error.ts';
import { encodeBlock } from './native.ts';
import type { ServerAddress } from './server-address.ts';
import { describeWriteFault, findServerFault, isAnswer, NOT_CLICKHOUSE } from './server-fault.ts';
import { READ_MEMORY_BYTES_MAX, READ_SECONDS_MAX, type Engine } from './store.ts';
import { makeTurns } from './turns.ts';

/** That of the embedded engine: every statement of ours is tried on it. */
const VERSION_MIN = [26, 7] as const;

/** An agent waits 10 s for its answer, and a commit may have to wait for another; then the server is as good as away. */
const INSERT_MS_MAX = 30_000;
/** The connection waits a little longer. */
const READ_MS_MAX = (READ_SECONDS_MAX + 10) * 1_000;
/** A rollup of a day, the schema of a large table, or what we look up ourselves. */
const COMMAND_MS_MAX = 600_000;
/** What a statement that was given up may take to notice it. */
const STOP_MS_MAX = 30_000;
const STOP_POLL_MS = 50;
/** Each its own, so that reads that wait keep no insert from its connection. */
const CONNECTIONS = { inserts: 4, reads: 8, lookups: 2, commands: 2 } as const;

const SETTINGS: ClickHouseSettings = {
  // The answer comes when the statement has ended: what fails half-way is an error, never a short result.
  wait_end_of_query: 1,
  // An answer is an acknowledgement: the server must not gather inserts and write them later.
  async_insert: 0,
  // Where a table remembers its blocks, one like another would be dropped, whether or not the first is still there.
  insert_deduplicate: 0,
  // As in the embedded engine, whatever the server or the profile of the user say.
  output_format_json_quote_64bit_integers: 0,
  date_time_output_format: 'simple',
  session_timezone: 'UTC',
};
/** A query that nobody waits for any more is cancelled; the server does so for those that cannot write, alone. */
const LOOKUP_SETTINGS: ClickHouseSettings = { readonly: '2', cancel_http_readonly_queries_on_client_close: 1 };
const READ_SETTINGS: ClickHouseSettings = {
  ...LOOKUP_SETTINGS,
  max_execution_time: READ_SECONDS_MAX,
  max_memory_usage: String(READ_MEMORY_BYTES_MAX),
};
/** Of later versions than the types of the client. */
const NEWER_SETTINGS = { deduplicate_insert: 'disable', deduplicate_insert_select: 'disable' };

export type ServerEngine = Engine & {
  /** Appends blocks that a ClickHouse has written, compressed by zstd: `columns` in their order. */
  readonly insertNative: (table: string, columns: readonly string[], body: Readable) => Promise<void>;
};

/**
 * Opens a database on a ClickHouse server, creating it where it is missing. Throws a StoreError that says what to do; one
 * of an outage may pass, others do not.
 *
 * While `swap` runs its task, who reads may see the state before it and the one after it together.
 */
export async function openServer(address: ServerAddress): Promise<ServerEngine> {
  const { database } = address;
  /** By it a statement of this database is found again, also by a later process. */
  const prefix = `muster-${database}-`;
  await prepareDatabase(address, prefix);
  const writer = connect(address, { database, connections: CONNECTIONS.inserts, msMax: INSERT_MS_MAX });
  const reader = connect(address, { database, connections: CONNECTIONS.reads, msMax: READ_MS_MAX });
  const looker = connect(address, { database, connections: CONNECTIONS.lookups, msMax: COMMAND_MS_MAX });
  const worker = connect(address, { database, connections: CONNECTIONS.commands, msMax: COMMAND_MS_MAX });
  // What it sends is compressed already.
  const copier = connect(address, { database, connections: 1, msMax: COMMAND_MS_MAX, isPlain: true });
  const closing = new AbortController();
  const inTurn = makeTurns();
  const underWay = new Set<Promise<unknown>>();
  /** Commands of which nobody knows how they ended. What they do late must not meet what is done after them. */
  const lost = new Set<string>();

  function follow<T>(task: Promise<T>): Promise<T> {
    const done = task.finally(() => underWay.delete(done));
    done.catch(() => undefined);
    underWay.add(done);
    return done;
  }

  async function command(sql: string): Promise<void> {
    const id = `${prefix}${randomUUID()}`;
    try {
      if (lost.size > 0) await stopStatements(worker, `query_id IN (${[...lost].map((one) => `'${one}'`).join(', ')})`);
      lost.clear();
      await worker.command({ query: sql, query_id: id });
    } catch (cause) {
      if (!isAnswer(cause)) lost.add(id);
      throw describeWriteFault(cause);
    }
  }

  return {
    insert: (table, rows, columns) => {
      const names = columns.map(({ name }) => name);
      return follow(insertBody(writer, formatInsert(table, names), Readable.from([encodeBlock(rows, columns)])));
    },
    insertNative: (table, columns, body) =>
      follow(insertBody(copier, formatInsert(table, columns), body, { 'Content-Encoding': 'zstd' })),
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
    openSession: () => Promise.reject(new Error('A session is for backups, which a ClickHouse server makes itself')),
    async close() {
      closing.abort();
      await Promise.allSettled(underWay);
      for (const client of [reader, looker, worker, writer, copier]) await client.close();
    },
  };
}

function formatInsert(table: string, columns: readonly string[]): string {
  return `INSERT INTO ${table} (${columns.join(', ')}) FORMAT Native`;
}

async function insertBody(
  client: ClickHouseClient,
  query: string,
  values: Readable,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  try {
    const { stream } = await client.exec({ query, values, http_headers: headers });
    stream.resume(); // nothing is in it
    await finished(stream);
  } catch (cause) {
    throw describeWriteFault(cause);
  }
}

type ConnectOptions = {
  readonly database: string;
  readonly connections: number;
  readonly msMax: number;
  /** Nothing is compressed on the way; by default where the way is short. */
  readonly isPlain?: boolean;
};

function connect(
  { origin, user, password }: ServerAddress,
  { database, connections, msMax, isPlain = isThisMachine(origin) }: ConnectOptions,
): ClickHouseClient {
  return createClient({
    url: origin,
    username: user,
    password,
    database,
    application: 'muster',
    max_open_connections: connections,
    request_timeout: msMax,
    // A server closes an idle connection after 3 s or more.
    keep_alive: { enabled: true, idle_socket_ttl: 2_000, eagerly_destroy_stale_sockets: true },
    // A fifth of a block goes over the wire then, for 2.5 ms of CPU a megabyte: more than loopback is worth.
    compression: isPlain ? {} : { request: { codec: 'zstd', level: 1 }, response: { codec: 'zstd' } },
    clickhouse_settings: { ...SETTINGS, ...NEWER_SETTINGS },
    log: { level: ClickHouseLogLevel.OFF },
  });
}

/** Makes sure of the server, the database, and that nothing goes on there that an earlier process has begun. */
async function prepareDatabase(address: ServerAddress, prefix: string): Promise<void> {
  const { database } = address;
  const client = connect(address, { database: 'system', connections: 1, msMax: READ_MS_MAX });
  try {
    await ensureVersion(address);
    await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${database}` }).catch(async (cause: unknown) => {
      const found = await client.query({
        query: `SELECT 1 FROM system.databases WHERE name = '${database}'`,
        format: 'JSONEachRow',
      });
      if ((await found.json()).length === 0) throw cause; // else it is there, and that it may not be created is no matter
    });
    await stopStatements(client, `startsWith(query_id, '${prefix}')`);
  } catch (cause) {
    throw findServerFault(cause) ?? cause;
  } finally {
    await client.close();
  }
}

/** Asked without any of our settings, which an older server would refuse without saying that it is older. */
async function ensureVersion({ origin, user, password }: ServerAddress): Promise<void> {
  const client = createClient({
    url: origin,
    username: user,
    password,
    database: 'system',
    request_timeout: READ_MS_MAX,
    log: { level: ClickHouseLogLevel.OFF },
  });
  try {
    const result = await client.query({ query: 'SELECT version() AS version', format: 'JSONEachRow' });
    const text = await result.text();
    const [, version, major, minor] = /^\{"version":"((\d+)\.(\d+)[^"]*)"\}\s*$/.exec(text) ?? [];
    if (version === undefined) throw new StoreError(NOT_CLICKHOUSE, false, text.slice(0, 100), true);
    const [majorMin, minorMin] = VERSION_MIN;
    if (Number(major) > majorMin || (Number(major) === majorMin && Number(minor) >= minorMin)) return;
    throw new StoreError(
      `The ClickHouse server is of version ${version}; Muster needs ${majorMin}.${minorMin} or newer: upgrade it`,
      false,
      null,
    );
  } finally {
    await client.close();
  }
}

/** Stops statements of ours, and waits until they have ended; throws when they do not. */
async function stopStatements(client: ClickHouseClient, which: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < STOP_MS_MAX; waitedMs += STOP_POLL_MS) {
    const result = await client.query({
      query: `SELECT 1 FROM system.processes WHERE ${which} AND user = currentUser() LIMIT 1`,
      format: 'JSONEachRow',
    });
    if ((await result.json()).length === 0) return;
    await client.command({ query: `KILL QUERY WHERE ${which} AND user = currentUser() ASYNC` });
    await sleep(STOP_POLL_MS);
  }
  throw new StoreError(
    'A statement of an earlier collector still runs on the ClickHouse server; stop that collector, or wait',
    false,
    null,
    true,
  );
}
