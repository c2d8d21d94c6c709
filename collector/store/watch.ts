import { describeError, type Log } from '@muster/proto/log';

import { StoreError } from '../domain/store-error.ts';
import type { Engine } from './store.ts';

export type WatchedEngine = {
  /** The engine that was given, watched: a full disk, or a server that is away, shows itself at whatever is asked first. */
  readonly engine: Engine;
  /** Why the store takes nothing, and what to do; null when it does, as far as is known. */
  readonly fault: () => string | null;
  /** Notes a fault that is known to be the store's and not that of what was written. */
  readonly noteFault: (error: unknown) => void;
};

/** Says once in the log that the store takes nothing, and once that it does again. */
export function watchEngine(engine: Engine, log: Log): WatchedEngine {
  let fault: string | null = null;

  function noteFault(error: unknown): void {
    if (fault === null) log.error('store.failed', { error });
    fault = error instanceof StoreError ? error.message : `The database takes nothing: ${describeError(error)}`;
  }

  function noteWrite(): void {
    if (fault === null) return;
    fault = null;
    log.info('store.recovered');
  }

  async function watch<T>(act: Promise<T>): Promise<T> {
    try {
      return await act;
    } catch (error) {
      if (error instanceof StoreError && error.isOutage) noteFault(error);
      throw error;
    }
  }

  return {
    engine: {
      ...engine,
      async insert(table, rows, columns) {
        await watch(engine.insert(table, rows, columns));
        noteWrite();
      },
      query: (sql, parameters, signal) => watch(engine.query(sql, parameters, signal)),
      // That a command ran says little: dropping a table's rows needs no space, for one.
      command: (sql) => watch(engine.command(sql)),
      flush: () => watch(engine.flush()),
      swap: (task) => engine.swap((command) => task((sql) => watch(command(sql)))),
    },
    fault: () => fault,
    noteFault,
  };
}
