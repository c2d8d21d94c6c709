import { join, resolve } from 'node:path';
import { stat } from 'node:fs/promises';

import { openArchive } from '@muster/collector/store/archive';
import { ensureUnclaimed } from '@muster/collector/store/claim';
import { openCompaction } from '@muster/collector/store/compaction';
import { openEmbedded } from '@muster/collector/store/embedded';
import { lockDirectory } from '@muster/collector/store/lock';
import { forgetMigrated, noteMigrated, readMigrated } from '@muster/collector/store/migrated';
import { migrate } from '@muster/collector/store/migrations';
import { openVersions } from '@muster/collector/store/rollup';
import { openServer, type ServerEngine } from '@muster/collector/store/server';
import type { ServerAddress } from '@muster/collector/store/server-address';
import type { Engine } from '@muster/collector/store/store';

import { copyPartition, emptyStore, listPartitions } from './copy.ts';

export type MigrateOptions = {
  /** The data directory of a collector that does not run. */
  readonly data: string;
  readonly to: ServerAddress;
  /** What the database holds of another store is deleted first. */
  readonly isOverwriting: boolean;
  readonly say: (text: string) => void;
};

/** Copies an embedded store to a server, or what is not there yet. Throws when it could not. */
export async function migrateStore({ data, to, isOverwriting, say }: MigrateOptions): Promise<void> {
  await stat(join(data, 'clickhouse')).catch((cause: unknown) => {
    throw new Error(`Cannot find a store in ${data}: give the data directory of a collector with --from`, { cause });
  });
  const lock = await lockDirectory(data);
  if (!lock.ok) throw new Error(lock.error);
  const engine = await openEmbedded(data);
  try {
    await migrate(engine);
    say('putting what has arrived among the rest');
    await openArchive(engine, { now: Date.now });
    await openCompaction(engine, await openVersions(engine, Date.now)); // which does it first of all
    await ensureUnclaimed(to);
    const server = await openServer(to);
    try {
      await migrate(server);
      const source = await readSource(engine);
      await prepareTarget(server, engine, { source, isOverwriting });
      await copyAll(engine, server, { file: join(resolve(data), 'incoming', 'copied.native.zst'), say });
      await noteMigrated(server, { source, isDone: true });
    } finally {
      await server.close();
    }
  } finally {
    await engine.close();
    await lock.value.release();
  }
}

/** A name that no other store has: a table of it has it for good. */
async function readSource(engine: Engine): Promise<string> {
  const [row] = await engine.query(
    `SELECT toString(uuid) AS uuid FROM system.tables WHERE database = currentDatabase() AND name = 'hosts'`,
  );
  return String(row?.['uuid']);
}

type Wanted = { readonly source: string; readonly isOverwriting: boolean };

/** Refuses a database with anything else in it, or with all of this: a collector may have gone on there. */
async function prepareTarget(server: ServerEngine, from: Engine, { source, isOverwriting }: Wanted): Promise<void> {
  const migrated = await readMigrated(server);
  const isEmpty = (await listPartitions(server)).length === 0;
  if (!isOverwriting && migrated?.source === source && !migrated.isDone) return; // goes on where it was
  if (!isOverwriting && !isEmpty) {
    throw new Error(
      migrated?.source === source
        ? 'All of this store has been copied to that database already; start the collector with --store-url, or delete what is there with --overwrite true'
        : 'That database holds other data; name another one, or delete what is there with --overwrite true',
    );
  }
  await forgetMigrated(server);
  await noteMigrated(server, { source, isDone: false });
  await emptyStore(server, from);
}

type CopyAllOptions = { readonly file: string; readonly say: (text: string) => void };

async function copyAll(from: Engine, to: ServerEngine, { file, say }: CopyAllOptions): Promise<void> {
  const partitions = await listPartitions(from);
  const bytes = partitions.reduce((sum, partition) => sum + partition.bytes, 0);
  const startMs = performance.now();
  let doneBytes = 0;
  let rows = 0;
  for (const [at, partition] of partitions.entries()) {
    const content = await copyPartition({ from, to, file }, partition);
    doneBytes += partition.bytes;
    rows += content.rows;
    const seconds = (performance.now() - startMs) / 1000;
    const leftSeconds = Math.ceil((seconds / doneBytes) * (bytes - doneBytes));
    const rate = `${(doneBytes / 1e6 / seconds).toFixed(1)} MB/s`;
    say(
      `${at + 1}/${partitions.length} ${partition.table} ${partition.id}: ${content.rows} rows, hash ${content.hash}; ${rate}, ${leftSeconds} s left`,
    );
  }
  say(`${rows} rows in ${partitions.length} partitions are there, each counted and compared by its hash`);
}
