import { setTimeout as sleep } from 'node:timers/promises';

import type { Log } from '@muster/proto/log';

import { StoreError } from './domain/store-error.ts';
import type { Part, StoreBase } from './open-store.ts';
import { ensureMigrated } from './store/migrated.ts';
import { migrate } from './store/migrations.ts';
import { formatServerAddress, type ServerAddress } from './store/server-address.ts';
import { AWAY } from './store/server-fault.ts';
import { openServer } from './store/server.ts';
import type { Engine } from './store/store.ts';
import { watchEngine } from './store/watch.ts';

/** How soon a server that is away is asked again. */
const RETRY_MS = 2_000;

export type ServerOptions = { readonly address: ServerAddress; readonly closing: AbortSignal };

/**
 * Opens a database on a ClickHouse server, waiting for one that is away until `closing`. Whatever else is wrong ends it: a
 * person must do something first.
 */
export async function openServerBase(
  { address, closing }: ServerOptions,
  opened: Part[],
  log: Log,
): Promise<StoreBase> {
  const engine = await openWhenThere(address, closing, log);
  opened.push({ name: 'store', close: () => engine.close() });
  log.info('store.connected', { url: formatServerAddress(address) });
  const watched = watchEngine(engine, log);
  await ensureMigrated(watched.engine);
  await migrate(watched.engine);
  return { watched, ...leaveDiskToServer(watched.engine) };
}

async function openWhenThere(address: ServerAddress, closing: AbortSignal, log: Log): Promise<Engine> {
  for (let attempt = 0; ; attempt += 1) {
    closing.throwIfAborted();
    try {
      return await openServer(address);
    } catch (error) {
      if (!(error instanceof StoreError) || error.message !== AWAY) throw error;
      if (attempt === 0) log.warn('store.away', { url: formatServerAddress(address), error });
      await sleep(RETRY_MS, undefined, { signal: closing }).catch(() => undefined); // the loop says why
    }
  }
}

/** A server looks after its parts and its disk itself. */
function leaveDiskToServer(engine: Engine): Omit<StoreBase, 'watched'> {
  return {
    mender: { mend: async () => false, drop: (_table, act) => act(engine) },
    ballast: { restore: async () => undefined, release: async () => false, releaseIfFull: async () => undefined },
    durability: 'process',
    backups: null,
    ensureRoom: async () => undefined,
    sync: { chunks: async () => undefined, archive: async () => undefined },
  };
}
