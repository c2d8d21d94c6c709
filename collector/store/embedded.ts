import { ftruncateSync } from 'node:fs';
import { chmod, open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join, resolve } from 'node:path';

import { Session } from 'chdb';

import { makeLog, type Log } from '@muster/proto/log';
import { isRecord } from '@muster/proto/record';

import { StoreError } from '../domain/store-error.ts';
import { ENGINE_SETTINGS, writeEngineSettings, type EngineSettings } from './engine-settings.ts';
import { releaseFatalSignals } from './fatal-signals.ts';
import { encodeFramed, FRAME } from './frame.ts';
import { ARRIVAL_COLUMNS, ARRIVALS } from './insert.ts';
import { isJournal, openJournal, type Journal } from './journal.ts';
import { makeDirectory } from './make-directory.ts';
import { encodeBlock, formatStructure, type ColumnType } from './native.ts';
import type { Durability } from './durability.ts';
import { READ_MEMORY_BYTES_MAX, READ_SECONDS_MAX, type Engine } from './store.ts';
import { connect, makeRead, makeSessions, type Client } from './session.ts';
import { syncPath } from './sync.ts';
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

export type EmbeddedEngine = Engine & {
  /** What the acknowledgement of what arrives from now on outlives. */
  readonly setDurability: (durability: Durability) => Promise<void>;
};

/**
 * Opens the engine inside this process on `directory`, which must be locked (lock.ts): the engine takes one process
 * per directory. A heavy statement holds up its own session only, so there are several: for inserts; for commands, such
 * as the rollup; for what people ask, which is what has values bound; and for what we look up ourselves, which must not
 * wait for that. `settings` are for this opening, beside those that always hold. `log` is told what was lost of the journal.
 */
export async function openEmbedded(
  directory: string,
  settings: EngineSettings = {},
  log: Log = makeLog((line) => process.stderr.write(line), Date.now),
): Promise<EmbeddedEngine> {
  const path = resolve(directory, 'clickhouse');
  const incoming = resolve(directory, 'incoming');
  ensurePlain(directory, incoming);
  for (const folder of [path, incoming]) await makePrivate(folder);
  // Some settings (where backups may be written) are taken from a file only.
  const configuration = resolve(directory, 'engine.xml');
  const always = { ...ENGINE_SETTINGS, max_server_memory_usage: readMemoryLimit() };
  await writeEngineSettings(configuration, { ...always, ...settings });
  // The first session starts the engine, with its configuration; the clients' sessions join it.
  const engine = new Session(path, { connectionArgs: [`--config-file=${configuration}`] });
  releaseFatalSignals();
  // A block that was being inserted when the process died was never acknowledged: its sender has it still. Only now: where
  // another process has the directory all the same (two containers, say), the engine has just refused, and these are its.
  for (const name of await readdir(incoming)) if (!isJournal(name)) await rm(join(incoming, name));
  const [writer, worker, looker, reader] = [connect(path), connect(path), connect(path), connect(path)];
  await worker.command(`CREATE DATABASE IF NOT EXISTS ${DATABASE}`);
  for (const client of [writer, worker, looker, reader]) await client.command(`USE ${DATABASE}`);
  await reader.command(`SET max_execution_time = ${READ_SECONDS_MAX}, max_memory_usage = ${READ_MEMORY_BYTES_MAX}`);
  const read = makeRead(reader, looker);
  const sessions = makeSessions(path, DATABASE);
  const blocks = await openBlocks(join(incoming, BLOCK), writer);
  const journal = openOwnJournal(directory, incoming, writer, log);
  const flush = (): Promise<void> => tell(journal.flush());
  /** Whoever reads sees what was stored before. What the engine does not take now is not there yet. */
  const tryFlush = (): Promise<void> => flush().catch(() => undefined);
  return {
    insert: (table, rows, columns) =>
      tell(
        table === ARRIVALS
          ? journal.append(encodeFramed(rows, columns))
          : blocks.insert(table, encodeBlock(rows, columns), columns),
      ),
    async query(sql, parameters, signal) {
      await tryFlush();
      return parameters === undefined ? looker.query(sql) : read(sql, parameters, signal);
    },
    swap: (task) =>
      worker.pause((command) => reader.pause(() => looker.pause(() => task((sql) => tell(command(sql)))))),
    async command(sql) {
      await tryFlush();
      await tell(worker.command(sql));
    },
    flush,
    async openSession() {
      await flush();
      return sessions.open();
    },
    async setDurability(durability) {
      journal.setSynced(durability === 'power-loss');
      if (durability === 'power-loss') for (const folder of [incoming, resolve(directory)]) await syncPath(folder);
    },
    async close() {
      const reading = Promise.all([reader.close(), sessions.close()]);
      // Whoever asked has gone, and the process would not end before its threads have read to the end.
      await looker.command("KILL QUERY WHERE query_kind = 'Select' ASYNC").catch(() => undefined);
      await reading;
      await journal.close();
      for (const client of [looker, worker, writer]) await client.close();
      await blocks.close();
      engine.close();
    },
  };
}

/**
 * Throws where blocks cannot go in by their path: the engine reads these characters as a pattern, would find no block, or
 * another's, and not say so. Behind a backslash it does not find its own directory.
 */
function ensurePlain(directory: string, incoming: string): void {
  if (!/[{}*?[\]\\]/.test(incoming)) return;
  throw new Error(
    `Cannot keep data in ${directory}: the path must not hold any of { } * ? [ ] \\; choose another with --data`,
  );
}

function openOwnJournal(directory: string, incoming: string, writer: Client, log: Log): Journal {
  return openJournal({
    directory: incoming,
    refused: resolve(directory, 'refused'),
    take: (file, isRepeated) => tell(writer.command(takeArrivals(file, isRepeated))),
    canRead: (file) => canRead(writer, file),
    log,
  });
}

async function makePrivate(folder: string): Promise<void> {
  await makeDirectory(folder);
  await chmod(folder, 0o700);
}

/** Throws what a write ends with as what people are told of it. */
async function tell(writing: Promise<void>): Promise<void> {
  try {
    await writing;
  } catch (cause) {
    throw cause instanceof StoreError ? cause : makeStoreError(cause);
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

/** Inserts blocks one after the other. One file for all: to make one takes longer than to fill it. */
async function openBlocks(path: string, writer: Client) {
  const file = await open(path, 'w', 0o600);
  const inTurn = makeTurns();
  return {
    insert: (table: string, block: Uint8Array, columns: readonly ColumnType[]): Promise<void> =>
      inTurn(async () => {
        try {
          await writeWhole(file, block);
          await writer.command(takeBlock(table, path, columns));
        } finally {
          ftruncateSync(file.fd);
        }
      }),
    async close(): Promise<void> {
      await file.close();
      await rm(path, { force: true });
    },
  };
}

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
function takeBlock(table: string, file: string, columns: readonly ColumnType[]): string {
  const names = columns.map(({ name }) => name).join(', ');
  return `INSERT INTO ${table} (${names}) SETTINGS ${INSERT_SETTINGS} SELECT ${names} FROM ${readNative(file, columns)}`;
}

/** Many blocks, of any number of generations. What may be there already must be looked for. */
function takeArrivals(file: string, isRepeated: boolean): string {
  const names = ARRIVAL_COLUMNS.map(({ name }) => name);
  const found = names.map((name) => (isRepeated && name === 'isNew' ? `0 AS ${name}` : name));
  return `INSERT INTO ${ARRIVALS} (${names.join(', ')}) SETTINGS ${INSERT_SETTINGS}, max_partitions_per_insert_block = 0
    SELECT ${found.join(', ')} FROM ${readNative(file, [FRAME, ...ARRIVAL_COLUMNS])}`;
}

/** False only where the fault is in the blocks, for certain. */
async function canRead(writer: Client, file: string): Promise<boolean> {
  try {
    await writer.query(`SELECT sum(ignore(*)) AS none FROM ${readNative(file, [FRAME, ...ARRIVAL_COLUMNS])}`);
    return true;
  } catch (error) {
    return !isRecord(error) || typeof error['code'] !== 'string' || OTHER_FAULTS.has(error['code']);
  }
}

/** No more files can be opened, or it is not there; no memory; it was ended. */
const OTHER_FAULTS: ReadonlySet<string> = new Set(['76', '107', '173', '241', '394']);

function readNative(file: string, columns: readonly ColumnType[]): string {
  return `file(${quote(file)}, 'Native', ${quote(formatStructure(columns))})`;
}

/** A text of our own as a literal. What comes from outside is bound. */
function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
