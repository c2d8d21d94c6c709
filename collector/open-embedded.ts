import { join, resolve } from 'node:path';

import type { Log } from '@muster/proto/log';

import { StoreError } from './domain/store-error.ts';
import type { Commits, Part, StoreBase, StoreSettings } from './open-store.ts';
import { repeat } from './repeat.ts';
import { ensureDiskRoom, type Ballast } from './store/ballast.ts';
import { withRoom } from './store/drop.ts';
import {
  applyDurability,
  makeTableSync,
  oldPartsMs,
  readDurability,
  syncStore,
  type Durability,
} from './store/durability.ts';
import { openEmbedded } from './store/embedded.ts';
import { makeMender, withMender } from './store/mend.ts';
import { migrate } from './store/migrations.ts';
import { ensureRestored } from './store/restore.ts';
import { dropSnapshot } from './store/snapshot.ts';
import { watchEngine } from './store/watch.ts';

/** A part that was merged while the disk became full must be found before what it was merged from is deleted. */
const MEND_MS = 1_000;
/** How soon the ballast is made again once there is room. */
const BALLAST_MS = 5_000;

/** A commit is a write to a file, or a wait for the disk. */
const COMMITS: Readonly<Record<Durability, Commits>> = {
  process: { rows: 3_000, ms: 20 },
  'power-loss': { rows: 30_000, ms: 100 },
};

export type EmbeddedOptions = Pick<StoreSettings, 'data' | 'backupTo' | 'durability'> & { readonly ballast: Ballast };

/** Opens the engine in this process on a directory that is locked, and what looks after its disk. */
export async function openEmbeddedBase(
  { data, ballast, backupTo = '', durability: wanted }: EmbeddedOptions,
  opened: Part[],
  log: Log,
  now: () => number,
): Promise<StoreBase> {
  await ensureRestored(data);
  const backups = resolve(backupTo === '' ? join(data, 'backups') : backupTo);
  const embedded = await openEmbedded(data, { 'backups/allowed_path': backups }, log);
  opened.push({ name: 'store', close: () => embedded.close() });
  let durability: Durability = 'process';
  const mender = makeMender({ engine: embedded, oldPartsMs: () => oldPartsMs(durability), log, now });
  const watched = watchEngine(withMender(embedded, mender), log);
  const ensureRoom = (): Promise<void> => ensureDiskRoom(data);
  await migrate(watched.engine, ensureRoom);
  durability = wanted ?? (await readDurability(watched.engine));
  await embedded.setDurability(durability);
  if (await applyDurability(watched.engine, durability, ensureRoom)) await syncStore(resolve(data), durability);
  // What follows goes by what is in the tables: the numbers of generations, and when each host was last heard.
  await withRoom(ballast, () => watched.engine.flush());
  await dropSnapshot(watched.engine);
  const mending = repeat(
    MEND_MS,
    async () => void (await mender.mend()),
    (error) => {
      // A full disk is told of by whoever writes; here it is tried again in a second.
      if (!(error instanceof StoreError) || !error.isFull) log.error('store.not-mended', { error });
    },
  );
  opened.push({ name: 'mender', close: () => mending.close() });

  const onBallastFault = (error: unknown): void => log.warn('ballast.failed', { error });
  await ballast.restore().catch(onBallastFault);
  const ballasting = repeat(BALLAST_MS, ballast.restore, onBallastFault);
  opened.push({ name: 'ballast', close: () => ballasting.close() });
  const sync = {
    chunks: await makeTableSync(watched.engine, durability, 'chunks'),
    archive: await makeTableSync(watched.engine, durability, 'archive'),
  };
  const lost = new Promise<never>(() => undefined); // the directory is locked
  const commits = COMMITS[durability];
  return { watched, commits, lost, mender, ballast, durability, backups, ensureRoom, sync };
}
