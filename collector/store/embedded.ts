import { ftruncateSync } from 'node:fs';
import { chmod, open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join, resolve } from 'node:path';

import { Session } from 'chdb';

import { isRecord } from '@muster/proto/record';

import { StoreError } from '../domain/store-error.ts';
import { ENGINE_SETTINGS, writeEngineSettings, type EngineSettings } from './engine-settings.ts';
import { releaseFatalSignals } from './fatal-signals.ts';
import { makeDirectory } from './make-directory.ts';
import { encodeBlock, formatStructure, type Column } from './native.ts';
import { READ_MEMORY_BYTES_MAX, READ_SECONDS_MAX, type Engine } from './store.ts';
import { connect, makeRead, makeSessions, type Client } from './session.ts';
import { makeTurns } from './turns.ts';

/** As people name it in SQL; our own statements name tables alone. */
const DATABASE = 'muster';

/** What the engine may take of the machine, and never less than it works with. */
const MEMORY_SHARE = 0.5;
const MEMORY_BYTES_MIN = 1024 ** 3;

/** Of the machine's memory, or of what a container may have of it. */
function readMemoryLimit(): number {
  const constrained = process.constrainedMemory();
  const bytes = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.max(MEMORY_BYTES_MIN, Math.floor(bytes * MEMORY_SHARE));
}

/**
 * Opens the engine inside this process on `directory`, which must be locked (lock.ts): the engine takes one process
 * per directory. A heavy statement holds up its own session only, so there are several: for inserts; for commands, such
 * as the rollup; for what people ask, which is what has values bound; and for what we look up ourselves, which must not
 * wait for that. `settings` are for this opening, beside those that always hold.
 */
export async function openEmbedded(directory: string, settings: EngineSettings = {}): Promise<Engine> {
  const path = resolve(directory, 'clickhouse');
  const incoming = resolve(directory, 'incoming');
  // Blocks go in by their path, and the engine reads these characters in a path as a pattern: it would find no block,
  // or another's, and not say so. Behind a backslash it does not find its own directory.
  if (/[{}*?[\]\\]/.test(incoming)) {
    throw new Error(
      `Cannot keep data in ${directory}: the path must not hold any of { } * ? [ ] \\; choose another with --data`,
    );
  }
  for (const folder of [path, incoming]) {
    await makeDirectory(folder);
    await chmod(folder, 0o700);
  }
  // Some settings (where backups may be written) are taken from a file only.
  const configuration = resolve(directory, 'engine.xml');
  const always = { ...ENGINE_SETTINGS, max_server_memory_usage: readMemoryLimit() };
  await writeEngineSettings(configuration, { ...always, ...settings });
  // The first session starts the engine, with its configuration; the clients' sessions join it.
  const engine = new Session(path, { connectionArgs: [`--config-file=${configuration}`] });
  releaseFatalSignals();
  // A block that was being inserted when the process died was never acknowledged: its sender has it still. Only now: where
  // another process has the directory all the same (two containers, say), the engine has just refused, and these are its.
  for (const name of await readdir(incoming)) await rm(join(incoming, name));
  const [writer, worker, looker, reader] = [connect(path), connect(path), connect(path), connect(path)];
  await worker.command(`CREATE DATABASE IF NOT EXISTS ${DATABASE}`);
  for (const client of [writer, worker, looker, reader]) await client.command(`USE ${DATABASE}`);
  await reader.command(`SET max_execution_time = ${READ_SECONDS_MAX}, max_memory_usage = ${READ_MEMORY_BYTES_MAX}`);
  const read = makeRead(reader, looker);
  const sessions = makeSessions(path, DATABASE);
  const block = await open(join(incoming, BLOCK), 'w', 0o600);
  const inTurn = makeTurns();
  return {
    // One file for all, because each call of the system that is waited for costs a turn of the event loop.
    insert: (table, rows, columns) =>
      inTurn(async () => {
        try {
          await tell(writeWhole(block, encodeBlock(rows, columns)));
          await tell(insertFile(writer, table, join(incoming, BLOCK), columns));
        } finally {
          ftruncateSync(block.fd);
        }
      }),
    query: (sql, parameters, signal) => (parameters === undefined ? looker.query(sql) : read(sql, parameters, signal)),
    swap: (task) =>
      worker.pause((command) => reader.pause(() => looker.pause(() => task((sql) => tell(command(sql)))))),
    command: (sql) => tell(worker.command(sql)),
    openSession: sessions.open,
    async close() {
      const reading = Promise.all([reader.close(), sessions.close()]);
      // Whoever asked has gone, and the process would not end before its threads have read to the end.
      await looker.command("KILL QUERY WHERE query_kind = 'Select' ASYNC").catch(() => undefined);
      await reading;
      for (const client of [looker, worker, writer]) await client.close();
      await block.close();
      await rm(join(incoming, BLOCK), { force: true });
      engine.close();
    },
  };
}

/** Throws what a write ends with as what people are told of it. */
async function tell(writing: Promise<void>): Promise<void> {
  try {
    await writing;
  } catch (cause) {
    throw makeStoreError(cause);
  }
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

/** The block that is being inserted, in the folder `incoming`. */
const BLOCK = 'block.native';

async function writeWhole(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at, bytes.length - at, at)).bytesWritten;
}

/**
 * Where a table remembers its blocks, the engine drops one whose like it has seen, also when a kill has left of the
 * first nothing but that memory. Our rows collapse by their keys; so this is off, whatever the defaults are. And a block
 * is too small for several threads.
 */
const INSERT_SETTINGS = "deduplicate_insert_select = 'disable', max_threads = 1, max_insert_threads = 1";

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
