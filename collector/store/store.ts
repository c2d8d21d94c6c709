import type { Column } from './native.ts';

/** What people ask that takes longer, or more memory, is given up: a dashboard asks for little, and others wait. */
export const READ_SECONDS_MAX = 20;
export const READ_MEMORY_BYTES_MAX = 512 * 1024 ** 2;

/** Values bound to `{name:Type}` in a query; never part of its text. */
export type QueryParameters = Readonly<Record<string, string | number | readonly string[]>>;

/**
 * A ClickHouse database, embedded or a server: what the rest of the store is written against. A fault of the engine
 * throws with ClickHouse's own message. SQL names tables without their database.
 */
export type Engine = {
  /**
   * Appends one block; resolves when it is committed, and every statement that is begun then sees it, unless the engine takes
   * nothing just then. The columns are named as in the table, in any order.
   */
  insert(table: string, rows: number, columns: readonly Column[]): Promise<void>;
  /** Rows as objects; whole numbers are exact up to 2^53. `signal` ends it where it is; what takes too long, or too much, fails. */
  query(sql: string, parameters?: QueryParameters, signal?: AbortSignal): Promise<readonly Record<string, unknown>[]>;
  /** Runs a statement without a result. It holds no text from outside: nothing is bound to it. */
  command(sql: string): Promise<void>;
  /**
   * Runs a task of commands as one: who reads sees the state before it or after it, and so do other commands. It has its own
   * way to run them, and must not query.
   */
  swap(task: (command: Engine['command']) => Promise<void>): Promise<void>;
  /** Resolves when all that was inserted is in its tables; rejects when some of it has to wait. */
  flush(): Promise<void>;
  /** Opens a session for long work, which then holds up no other; what is open still is closed with the engine. */
  openSession(): Promise<Session>;
  close(): Promise<void>;
};

export type Session = Pick<Engine, 'query' | 'command' | 'close'>;

/** The engine, whose reads end with a signal. */
export function withSignal(engine: Engine, signal: AbortSignal): Engine {
  return { ...engine, query: (sql, parameters) => engine.query(sql, parameters, signal) };
}

/** The partitions of a table that hold anything, by their ids, in order. */
export async function listPartitions(engine: Engine, table: string): Promise<readonly string[]> {
  const rows = await engine.query(
    `SELECT DISTINCT partition_id AS id FROM system.parts
     WHERE database = currentDatabase() AND table = '${table}' AND active AND rows > 0 ORDER BY id`,
  );
  return rows.map(({ id }) => String(id));
}
