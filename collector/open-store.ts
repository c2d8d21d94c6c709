import { join, resolve } from 'node:path';

import type { Log } from '@muster/proto/log';

import type { Keep } from './domain/keep.ts';
import { StoreError } from './domain/store-error.ts';
import { makeMetrics, type Metrics } from './metrics.ts';
import { repeat } from './repeat.ts';
import { ensureDiskRoom, makeBallast, type Ballast } from './store/ballast.ts';
import { openCompaction, type Compaction } from './store/compaction.ts';
import {
  applyDurability,
  makeChunkSync,
  oldPartsMs,
  readDurability,
  syncStore,
  type Durability,
} from './store/durability.ts';
import { openEmbedded } from './store/embedded.ts';
import { lockDirectory } from './store/lock.ts';
import { makeMender, withMender, type Mender } from './store/mend.ts';
import { migrate, probe } from './store/migrations.ts';
import { ensureRestored } from './store/restore.ts';
import { applyKeep } from './store/retention.ts';
import { openVersions, rollUpDue, type Versions } from './store/rollup.ts';
import { dropSnapshot } from './store/snapshot.ts';
import { loadState, type State } from './store/state.ts';
import { watchEngine, type WatchedEngine } from './store/watch.ts';

/** What has arrived is read from other places than the rest until it is compacted: no more than the page shows at once. */
const COMPACTION_MS = 20_000;
const ROLLUP_RUN_MS = 60_000;
/** A part that was merged while the disk became full must be found before what it was merged from is deleted. */
const MEND_MS = 1_000;
/** How soon the ballast is made again once there is room. */
const BALLAST_MS = 5_000;
/** While the store takes nothing it is asked this often: perhaps nobody else writes, or is sent here before it is ready. */
const PROBE_MS = 2_000;

export type Part = { readonly name: string; readonly close: () => unknown };

export type Store = WatchedEngine & {
  readonly directory: string;
  readonly now: () => number;
  /** How long each tier is kept, in days. */
  readonly keep: Keep;
  readonly versions: Versions;
  readonly state: State;
  readonly metrics: Metrics;
  readonly compaction: Compaction;
  readonly ballast: Ballast;
  readonly mender: Mender;
  readonly durability: Durability;
  /** The folder of its backups. */
  readonly backups: string;
};

/** What a store is opened by. What is left out stays as it was when the store was opened last. */
export type StoreSettings = {
  readonly data: string;
  /** How long tiers are kept from now on. */
  readonly keep?: Partial<Keep>;
  /** Where backups are written; empty or left out: to the folder `backups` of the data directory. */
  readonly backupTo?: string;
  readonly durability?: Durability;
};

/** Opens what keeps data in a directory, and what looks after it. Whatever has to be closed is in `opened` at once. */
export async function openStore(
  { data: directory, keep: keepWanted = {}, backupTo = '', durability: wanted }: StoreSettings,
  opened: Part[],
  log: Log,
  now: () => number,
): Promise<Store> {
  const ballast = makeBallast(directory);
  await ballast.releaseIfFull(); // what fills a disk may also have ended the last process: what is stored can be read
  const lock = await lockDirectory(directory);
  if (!lock.ok) throw new Error(lock.error);
  opened.push({ name: 'data directory', close: lock.value.release });

  await ensureRestored(directory);
  const backups = resolve(backupTo === '' ? join(directory, 'backups') : backupTo);
  const embedded = await openEmbedded(directory, { 'backups/allowed_path': backups });
  opened.push({ name: 'store', close: () => embedded.close() });
  let durability: Durability = 'process';
  const mender = makeMender({ engine: embedded, oldPartsMs: () => oldPartsMs(durability), log, now });
  const watched = watchEngine(withMender(embedded, mender), log);
  const { engine, fault } = watched;
  const ensureRoom = (): Promise<void> => ensureDiskRoom(directory);
  await migrate(engine, ensureRoom);
  durability = wanted ?? (await readDurability(engine));
  if (await applyDurability(engine, durability, ensureRoom)) await syncStore(resolve(directory), durability);
  const keep = await applyKeep(engine, keepWanted, ensureRoom);
  await dropSnapshot(engine);
  const mending = repeat(
    MEND_MS,
    async () => void (await mender.mend()),
    (error) => {
      // A full disk is told of by whoever writes; here it is tried again in a second.
      if (!(error instanceof StoreError) || !error.isFull) log.error('store.not-mended', { error });
    },
  );
  opened.push({ name: 'mender', close: () => mending.close() });
  const state = await loadState(engine, now);
  const versions = await openVersions(engine, now);
  const onFailed = (event: string) => (error: unknown) => {
    if (fault() === null) log.error(event, { error }); // a store that takes nothing has been told of
  };
  const syncChunks = await makeChunkSync(engine, durability);
  const compaction: Compaction = await openCompaction(engine, versions, () => compacting.wake(), syncChunks);
  const compacting = repeat(COMPACTION_MS, compaction.run, onFailed('compaction.failed'));
  opened.push({ name: 'compaction', close: () => compacting.close() });
  const rollUp = (closing: AbortSignal): Promise<void> => rollUpDue(engine, { versions, now }, closing);
  const rolling = repeat(ROLLUP_RUN_MS, rollUp, onFailed('rollup.failed'));
  opened.push({ name: 'rollup', close: () => rolling.close() });

  const probing = repeat(
    PROBE_MS,
    async () => void (fault() === null || (await probe(engine))),
    () => undefined, // it still takes nothing, which has been told of
  );
  opened.push({ name: 'probe', close: () => probing.close() });

  const onBallastFault = (error: unknown): void => log.warn('ballast.failed', { error });
  await ballast.restore().catch(onBallastFault);
  const ballasting = repeat(BALLAST_MS, ballast.restore, onBallastFault);
  opened.push({ name: 'ballast', close: () => ballasting.close() });
  const metrics = makeMetrics({ table: state.metrics, log, now });
  const tended = { compaction, ballast, mender, durability, backups };
  return { ...watched, directory, now, keep, versions, state, metrics, ...tended };
}
