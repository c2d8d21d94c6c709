import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Log } from '@muster/proto/log';

import { StoreError } from './domain/store-error.ts';
import type { Part, StoreBase } from './open-store.ts';
import { repeat } from './repeat.ts';
import { BEAT_MS, takeClaim, type Claim, type ClaimOptions } from './store/claim.ts';
import { ensureSingle } from './store/cluster.ts';
import { ensureMigrated } from './store/migrated.ts';
import { migrate } from './store/migrations.ts';
import { formatServerAddress, type ServerAddress } from './store/server-address.ts';
import { prepareDatabase } from './store/server-client.ts';
import { AWAY } from './store/server-fault.ts';
import { openServer } from './store/server.ts';
import type { Engine } from './store/store.ts';
import { watchEngine } from './store/watch.ts';

/** How soon a server that is away is asked again. */
const RETRY_MS = 2_000;

/** In the data directory: the claim that its collector has, or had. */
const CLAIM_FILE = 'store-claim';

export type ServerOptions = {
  readonly address: ServerAddress;
  readonly data: string;
  /** Which one it is of a cluster. */
  readonly shard?: number;
  readonly closing: AbortSignal;
  /** Called when another collector has the database, with a sentence; what it gives is called when that is over. */
  readonly onStandby: (message: string) => Promise<() => Promise<void>>;
};

/**
 * Opens a database on a ClickHouse server, waiting for one that is away, or while another collector has it, until `closing`.
 * Whatever else is wrong ends it: a person must do something first.
 */
export async function openServerBase(options: ServerOptions, opened: Part[], log: Log): Promise<StoreBase> {
  const { address, data, shard } = options;
  const file = join(data, shard === undefined ? CLAIM_FILE : `${CLAIM_FILE}-${shard}`);
  const former = await readFile(file, 'utf8').catch(() => null); // there is none yet
  const id = randomUUID();
  const claim = await standBy({ ...options, id, former }, log);
  opened.push({ name: 'claim', close: claim.close });
  await writeFile(file, id, { mode: 0o600 });
  // Who cannot renew it writes nothing, and is told why there.
  const beating = repeat(BEAT_MS, claim.renew, () => undefined);
  opened.push({ name: 'renewal of the claim', close: () => beating.close() });
  const engine = await openServer(address, claim);
  opened.push({ name: 'store', close: () => engine.close() });
  log.info('store.connected', { url: formatServerAddress(address) });
  const watched = watchEngine(engine, log);
  await ensureMigrated(watched.engine);
  await migrate(watched.engine);
  return { watched, lost: claim.lost, ...leaveDiskToServer(watched.engine) };
}

type StandbyOptions = Omit<ServerOptions, 'data'> & Pick<ClaimOptions, 'id' | 'former'>;

/** Waits for the server, and until no other collector has the database. */
async function standBy({ onStandby, ...options }: StandbyOptions, log: Log): Promise<Claim> {
  const { address, shard } = options;
  let end: (() => Promise<void>) | null = null;
  const onOther = async (message: string): Promise<void> => {
    log.info('store.standby', { message });
    await end?.();
    end = await onStandby(message);
  };
  try {
    const claim = await waitForServer(options, log, async () => {
      await prepareDatabase(address);
      if (shard === undefined) await ensureSingle(address);
      return takeClaim({ ...options, onStandby: onOther, now: () => performance.now() });
    });
    if (end !== null) log.info('store.taken-over');
    return claim;
  } finally {
    await (end as (() => Promise<void>) | null)?.(); // it was set meanwhile
  }
}

/** Does something once the server is there; says once that it is away. */
export async function waitForServer<T>(
  { address, closing }: Pick<ServerOptions, 'address' | 'closing'>,
  log: Log,
  act: () => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    closing.throwIfAborted();
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof StoreError) || error.message !== AWAY) throw error;
      if (attempt === 0) log.warn('store.away', { url: formatServerAddress(address), error });
      await sleep(RETRY_MS, undefined, { signal: closing }).catch(() => undefined); // the loop says why
    }
  }
}

/** A server looks after its parts and its disk itself. */
function leaveDiskToServer(engine: Engine): Omit<StoreBase, 'watched' | 'lost'> {
  return {
    mender: { mend: async () => false, drop: (_table, act) => act(engine) },
    ballast: { restore: async () => undefined, release: async () => false, releaseIfFull: async () => undefined },
    commits: { rows: 30_000, ms: 250 },
    durability: 'process',
    backups: null,
    ensureRoom: async () => undefined,
    sync: { chunks: async () => undefined, archive: async () => undefined },
  };
}
