import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { createClient, type ClickHouseClientConfigOptions } from '@clickhouse/client';
import { Session } from 'chdb';
import { createChdbConnection } from 'chdb/connection';

import { isRecord } from '@muster/proto/record';

import { StoreError } from '../domain/store-error.ts';
import { ENGINE_SETTINGS, writeEngineSettings, type EngineSettings } from './engine-settings.ts';
import { encodeBlock, formatStructure, type Column } from './native.ts';
import type { Engine, Session as EngineSession } from './store.ts';
import { makeTurns } from './turns.ts';

/** As people name it in SQL; our own statements name tables alone. */
const DATABASE = 'muster';

/**
 * Opens the engine inside this process on `directory`, which must be locked (lock.ts): the engine takes one process
 * per directory. Inserts, queries and commands (the rollup) have a session each, because a heavy statement holds up its
 * own session only. `settings` are for this opening, beside those that always hold.
 */
export async function openEmbedded(directory: string, settings: EngineSettings = {}): Promise<Engine> {
  const path = resolve(directory, 'clickhouse');
  const incoming = resolve(directory, 'incoming');
  // Blocks go in by their path, and the engine reads these characters in a path as a pattern: it would find no block,
  // or another's, and not say so.
  if (/[{}*?[\]]/.test(incoming)) {
    throw new Error(
      `Cannot keep data in ${directory}: the path must not hold any of { } * ? [ ]; choose another with --data`,
    );
  }
  for (const folder of [path, incoming]) {
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o700);
  }
  // Some settings (where backups may be written) are taken from a file only.
  const configuration = resolve(directory, 'engine.xml');
  await writeEngineSettings(configuration, { ...ENGINE_SETTINGS, ...settings });
  // The first session starts the engine, with its configuration; the clients' sessions join it.
  const engine = new Session(path, { connectionArgs: [`--config-file=${configuration}`] });
  // A block that was being inserted when the process died was never acknowledged: its sender has it still. Only now: where
  // another process has the directory all the same (two containers, say), the engine has just refused, and these are its.
  for (const name of await readdir(incoming)) await rm(join(incoming, name));
  const [writer, reader, worker] = [connect(path), connect(path), connect(path)];
  await worker.command(`CREATE DATABASE IF NOT EXISTS ${DATABASE}`);
  for (const client of [writer, reader, worker]) await client.command(`USE ${DATABASE}`);
  let blocks = 0;
  const sessions = makeSessions(path);
  return {
    async insert(table, rows, columns) {
      const file = join(incoming, `${(blocks += 1)}.native`);
      try {
        await writeFile(file, encodeBlock(rows, columns));
        await insertFile(writer, table, file, columns);
      } catch (cause) {
        throw makeStoreError(cause);
      } finally {
        await rm(file, { force: true });
      }
    },
    query: reader.query,
    swap: reader.pause,
    async command(sql) {
      try {
        await worker.command(sql);
      } catch (cause) {
        throw makeStoreError(cause);
      }
    },
    openSession: sessions.open,
    async close() {
      const left = sessions.close();
      const read = reader.close();
      // Whoever asked has gone, and the process would not end before its threads have read to the end.
      await worker.command("KILL QUERY WHERE query_kind = 'Select' ASYNC").catch(() => undefined);
      await read;
      await left;
      await worker.close();
      await writer.close();
      engine.close();
    },
  };
}

/** Sessions beside those of the engine itself; `close` ends those that are open still. */
function makeSessions(path: string) {
  const clients = new Set<Client>();
  return {
    open: async (): Promise<EngineSession> => {
      const client = connect(path);
      clients.add(client);
      await client.command(`USE ${DATABASE}`);
      return {
        query: client.query,
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

type Client = Pick<Engine, 'query' | 'command' | 'close'> & { readonly pause: Engine['swap'] };

/**
 * Opens a session. It does one thing at a time, and whatever waits for it in the engine holds a thread of the few that
 * also read and write files: a handful of heavy reads would stop everything else. So it waits here.
 */
function connect(path: string): Client {
  const connection: unknown = createChdbConnection({ path });
  // The two packages describe one contract, each in its own copy of the types.
  const client = createClient({ connection: connection as NonNullable<ClickHouseClientConfigOptions['connection']> });
  const inTurn = makeTurns();
  let closed = false;
  const run = <T>(task: () => Promise<T>): Promise<T> =>
    inTurn(() => (closed ? Promise.reject(new Error('The store is closing')) : task()));
  return {
    query: (query, parameters) =>
      run(async () => {
        const result = await client.query({ query, query_params: { ...parameters }, format: 'JSONEachRow' });
        return result.json<Record<string, unknown>>();
      }),
    command: (query) => run(async () => void (await client.command({ query }))),
    pause: run,
    /** What waits fails; resolves when what is under way has ended. */
    close() {
      closed = true;
      return inTurn(() => client.close());
    },
  };
}

/** The engine says 243 when it cannot reserve space, and names the system's error when space ran out on the way. */
function makeStoreError(cause: unknown): StoreError {
  const code = isRecord(cause) ? String(cause['code']) : '';
  const message = cause instanceof Error ? cause.message : '';
  const isFull = ['ENOSPC', 'EDQUOT', '243'].includes(code) || /no space left|quota exceeded/i.test(message);
  return new StoreError(
    isFull ? DISK_FULL : 'Cannot write to the database; the log of the collector says why',
    isFull,
    cause,
  );
}

const DISK_FULL =
  'Cannot write: the disk that holds the data directory of the collector is full; free space on it, or drop old samples with DELETE /api/v1/samples?beforeMs=';

/**
 * Where a table remembers its blocks, the engine drops one whose like it has seen, also when a kill has left of the
 * first nothing but that memory. Our rows collapse by their keys; so this is off, whatever the defaults are.
 */
const INSERT_SETTINGS = "deduplicate_insert_select = 'disable'";

/**
 * The engine reads the block from a file: its own insert takes rows or text, and ends a text at an empty line, after
 * which it would run whatever follows as SQL. Nothing is bound here: statements with bound values run one at a time in the
 * whole process, so that an insert would wait for whatever is read.
 */
async function insertFile(client: Client, table: string, file: string, columns: readonly Column[]): Promise<void> {
  const names = columns.map(({ name }) => name).join(', ');
  await client.command(
    `INSERT INTO ${table} (${names}) SETTINGS ${INSERT_SETTINGS} SELECT ${names} FROM file(${quote(file)}, 'Native', ${quote(formatStructure(columns))})`,
  );
}

/** A text of our own as a literal. What comes from outside is bound. */
function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
