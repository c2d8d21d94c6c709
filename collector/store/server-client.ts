import { setTimeout as sleep } from 'node:timers/promises';

import { ClickHouseLogLevel, createClient, type ClickHouseClient, type ClickHouseSettings } from '@clickhouse/client';

import { isThisMachine } from '@muster/proto/options';

import { StoreError } from '../domain/store-error.ts';
import type { ServerAddress } from './server-address.ts';
import { findServerFault, NOT_CLICKHOUSE } from './server-fault.ts';

/** That of the embedded engine: every statement of ours is tried on it. */
const VERSION_MIN = [26, 7] as const;

/** What a statement that was given up may take to notice it. */
const STOP_MS_MAX = 30_000;
const STOP_POLL_MS = 50;
/** To be asked what it is. */
const FIRST_MS_MAX = 30_000;

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
/** Of later versions than the types of the client. */
const NEWER_SETTINGS = { deduplicate_insert: 'disable', deduplicate_insert_select: 'disable' };

export type ConnectOptions = {
  readonly database: string;
  readonly connections: number;
  readonly msMax: number;
  /** Nothing is compressed on the way; by default where the way is short. */
  readonly isPlain?: boolean;
};

export function connect(
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

/** By it a statement of a database is found again, also by a later process. */
export function statementsOf({ database }: ServerAddress): string {
  return `muster-${database}-`;
}

/** Makes sure of the server and the database, which is created where it is missing. */
export async function prepareDatabase(address: ServerAddress): Promise<void> {
  const { database } = address;
  const client = connect(address, { database: 'system', connections: 1, msMax: FIRST_MS_MAX });
  try {
    await ensureVersion(address);
    await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${database}` }).catch(async (cause: unknown) => {
      const found = await client.query({
        query: `SELECT 1 FROM system.databases WHERE name = '${database}'`,
        format: 'JSONEachRow',
      });
      if ((await found.json()).length === 0) throw cause; // else it is there, and that it may not be created is no matter
    });
  } catch (cause) {
    throw findServerFault(cause) ?? cause;
  } finally {
    await client.close();
  }
}

/** Makes sure that nothing goes on in a database that an earlier process has begun. */
export async function endStatements(address: ServerAddress): Promise<void> {
  const client = connect(address, { database: 'system', connections: 1, msMax: FIRST_MS_MAX });
  try {
    await stopStatements(client, `startsWith(query_id, '${statementsOf(address)}')`);
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
    request_timeout: FIRST_MS_MAX,
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
export async function stopStatements(client: ClickHouseClient, which: string): Promise<void> {
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
