import type { Log } from '@muster/proto/log';

import type { Keep } from './domain/keep.ts';
import { makeMetrics, type Metrics } from './metrics.ts';
import { openEmbeddedBase } from './open-embedded.ts';
import { openServerBase } from './open-server.ts';
import { repeat } from './repeat.ts';
import { openArchive } from './store/archive.ts';
import { makeBallast, type Ballast } from './store/ballast.ts';
import { openCompaction, type Compaction } from './store/compaction.ts';
import type { Durability } from './store/durability.ts';
import { lockDirectory } from './store/lock.ts';
import type { Mender } from './store/mend.ts';
import { probe } from './store/migrations.ts';
import { applyKeep } from './store/retention.ts';
import { openVersions, rollUpDue, type Versions } from './store/rollup.ts';
import type { ServerAddress } from './store/server-address.ts';
import { loadState, type State } from './store/state.ts';
import type { WatchedEngine } from './store/watch.ts';

/** What has arrived is read from other places than the rest until it is compacted: no more than the page shows at once. */
const COMPACTION_MS = 20_000;
const ROLLUP_RUN_MS = 60_000;
/** What comes late every few seconds is archived together. */
const ARCHIVE_RUN_MS = 600_000;
/** While the store takes nothing it is asked this often: perhaps nobody else writes, or is sent here before it is ready. */
const PROBE_MS = 2_000;

export type Part = { readonly name: string; readonly close: () => unknown };

/** An engine with its schema, and who looks after its disk. */
export type StoreBase = {
  readonly watched: WatchedEngine;
  readonly mender: Mender;
  readonly ballast: Ballast;
  readonly durability: Durability;
  /** The folder of its backups; null: they are made elsewhere. */
  readonly backups: string | null;
  /** Throws when its disk has no room for a change of the schema. */
  readonly ensureRoom: () => Promise<void>;
  /** Puts what was attached to a table on the disk, where power may be lost. */
  readonly sync: Readonly<Record<'chunks' | 'archive', () => Promise<void>>>;
};

export type Store = WatchedEngine &
  Pick<StoreBase, 'mender' | 'ballast' | 'durability' | 'backups'> & {
    readonly directory: string;
    readonly now: () => number;
    /** How long each tier is kept, in days. */
    readonly keep: Keep;
    readonly versions: Versions;
    readonly state: State;
    readonly metrics: Metrics;
    readonly compaction: Compaction;
    /** Waits until no sample is there twice: what counts them calls it first. */
    readonly ensureArchived: () => Promise<void>;
  };

/** What a store is opened by. What is left out stays as it was when the store was opened last. */
export type StoreSettings = {
  /** The data directory, which is held by one collector also where the data are on a server: it has the access key. */
  readonly data: string;
  /** null: the engine runs in this process, on the data directory. */
  readonly storeUrl?: ServerAddress | null;
  /** Ends waiting for a server that is away. */
  readonly closing?: AbortSignal;
  /** How long tiers are kept from now on. */
  readonly keep?: Partial<Keep>;
  /** Where backups are written; empty or left out: to the folder `backups` of the data directory. */
  readonly backupTo?: string;
  readonly durability?: Durability;
};

/** Opens what keeps data, and what looks after it. Whatever has to be closed is in `opened` at once. */
export async function openStore(settings: StoreSettings, opened: Part[], log: Log, now: () => number): Promise<Store> {
  const { data, storeUrl = null, closing = new AbortController().signal } = settings;
  const ballast = makeBallast(data);
  await ballast.releaseIfFull(); // what fills a disk may also have ended the last process: what is stored can be read
  const lock = await lockDirectory(data);
  if (!lock.ok) throw new Error(lock.error);
  opened.push({ name: 'data directory', close: lock.value.release });
  const base =
    storeUrl === null
      ? await openEmbeddedBase({ ...settings, ballast }, opened, log, now)
      : await openServerBase({ address: storeUrl, closing }, opened, log);
  return tendStore(base, settings, { opened, log, now });
}

type Surroundings = { readonly opened: Part[]; readonly log: Log; readonly now: () => number };

/** What goes on in a store, whatever it is kept in. */
async function tendStore(
  { watched, ensureRoom, sync, ...disk }: StoreBase,
  { data: directory, keep: keepWanted = {} }: StoreSettings,
  { opened, log, now }: Surroundings,
): Promise<Store> {
  const { engine, fault } = watched;
  const keep = await applyKeep(engine, keepWanted, ensureRoom);
  const state = await loadState(engine, now);
  const versions = await openVersions(engine, now);
  const onFailed = (event: string) => (error: unknown) => {
    if (fault() === null) log.error(event, { error }); // a store that takes nothing has been told of
  };
  const archive = await openArchive(engine, { now, sync: sync.archive });
  const compaction: Compaction = await openCompaction(engine, versions, () => compacting.wake(), sync.chunks);
  const ensureArchived = (): Promise<void> => compaction.between(archive.finish);
  const compact = async (signal: AbortSignal): Promise<void> => {
    await ensureArchived();
    await compaction.run(signal);
  };
  const rollUp = async (signal: AbortSignal): Promise<void> => {
    await ensureArchived();
    await rollUpDue(engine, { versions, now }, signal);
  };
  const archiveDue = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted && (await compaction.between(archive.moveNext)));
  };
  const compacting = repeat(COMPACTION_MS, compact, onFailed('compaction.failed'));
  opened.push({ name: 'compaction', close: () => compacting.close() });
  const archiving = repeat(ARCHIVE_RUN_MS, archiveDue, onFailed('archive.failed'));
  opened.push({ name: 'archive', close: () => archiving.close() });
  const rolling = repeat(ROLLUP_RUN_MS, rollUp, onFailed('rollup.failed'));
  opened.push({ name: 'rollup', close: () => rolling.close() });

  const probing = repeat(
    PROBE_MS,
    async () => void (fault() === null || (await probe(engine))),
    () => undefined, // it still takes nothing, which has been told of
  );
  opened.push({ name: 'probe', close: () => probing.close() });
  const metrics = makeMetrics({ table: state.metrics, log, now });
  return { ...watched, ...disk, directory, now, keep, versions, state, metrics, compaction, ensureArchived };
}
