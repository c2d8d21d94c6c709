import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { createClient, type ClickHouseClient, type ClickHouseClientConfigOptions } from '@clickhouse/client';
import { Session } from 'chdb';
import { createChdbConnection } from 'chdb/connection';

import { encodeBlock, formatStructure, type Column } from './native.ts';
import { DATABASE, type Engine, type QueryParameters } from './store.ts';

/** The engine's own defaults are meant for a machine that does nothing else: a mark cache of 5 GB, for one. */
const ENGINE_ARGUMENTS = ['--mark_cache_size=268435456'];

/**
 * Opens the engine inside this process on `directory`, which must be locked (lock.ts): the engine takes one process
 * per directory. Inserts, queries and commands (the rollup) have a session each, because a heavy statement holds up its
 * own session only.
 */
export async function openEmbedded(directory: string): Promise<Engine> {
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
  // A block that was being inserted when the process died was never acknowledged: its sender has it still.
  for (const name of await readdir(incoming)) await rm(join(incoming, name));
  // The first session starts the engine, with its arguments; the clients' sessions join it.
  const engine = new Session(path, { connectionArgs: ENGINE_ARGUMENTS });
  const writer = connect(path);
  const reader = connect(path);
  const worker = connect(path);
  await worker.command({ query: `CREATE DATABASE IF NOT EXISTS ${DATABASE}` });
  let blocks = 0;
  return {
    async insert(table, rows, columns) {
      const file = join(incoming, `${(blocks += 1)}.native`);
      try {
        await writeFile(file, encodeBlock(rows, columns));
        await insertFile(writer, table, file, columns);
      } finally {
        await rm(file, { force: true });
      }
    },
    async query(sql, parameters) {
      const result = await reader.query({ query: sql, query_params: { ...parameters }, format: 'JSONEachRow' });
      return result.json<Record<string, unknown>>();
    },
    command: (sql, parameters) => runCommand(worker, sql, parameters),
    async close() {
      for (const client of [worker, reader, writer]) await client.close();
      engine.close();
    },
  };
}

function connect(path: string): ClickHouseClient {
  const connection: unknown = createChdbConnection({ path });
  // The two packages describe one contract, each in its own copy of the types.
  return createClient({ connection: connection as NonNullable<ClickHouseClientConfigOptions['connection']> });
}

/**
 * The engine reads the block from a file: its own insert takes rows or text, and ends a text at an empty line, after
 * which it would run whatever follows as SQL.
 */
async function insertFile(
  client: ClickHouseClient,
  table: string,
  file: string,
  columns: readonly Column[],
): Promise<void> {
  const names = columns.map(({ name }) => name).join(', ');
  await runCommand(
    client,
    `INSERT INTO ${DATABASE}.${table} (${names}) SELECT ${names} FROM file({file:String}, 'Native', {structure:String})`,
    { file, structure: formatStructure(columns) },
  );
}

async function runCommand(client: ClickHouseClient, sql: string, parameters: QueryParameters = {}): Promise<void> {
  await client.command({ query: sql, query_params: { ...parameters } });
}
