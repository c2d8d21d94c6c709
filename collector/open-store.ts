import type { Log } from '@muster/proto/log';

import type { Keep } from './domain/keep.ts';
import { makeMetrics, type Metrics } from './metrics.ts';
import { openCluster, type Cluster } from './open-cluster.ts';
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
import { openVersions, rollUpDue, type Settled, type Versions } from './store/rollup.ts';
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

/**
 * When a commit of what has arrived begins: when so many samples wait, or the first of them has waited so long. The dearer
 * a commit is, the larger.
 */
export type Commits = { readonly rows: number; readonly ms: number };

/** An engine with its schema, and who looks after its disk. */
export type StoreBase = {
  readonly watched: WatchedEngine;
  readonly mender: Mender;
  readonly ballast: Ballast;
  readonly durability: Durability;
  readonly commits: Commits;
  /** Resolves when another collector has taken the database over: this one must end. */
  readonly lost: Promise<Error>;
  /** The folder of its backups; null: they are made elsewhere. */
  readonly backups: string | null;
  /** Throws when its disk has no room for a change of the schema. */
  readonly ensureRoom: () => Promise<void>;
  /** Puts what was attached to a table on the disk, where power may be lost. */
  readonly sync: Readonly<Record<'chunks' | 'archive', () => Promise<void>>>;
};

/** What holds all that there is of some hosts: the store, or a shard of it. */
export type Shard = WatchedEngine &
  Pick<StoreBase, 'mender' | 'ballast'> & {
    /** How long each tier is kept, in days. */
    readonly keep: Keep;
    readonly versions: Versions;
    readonly compaction: Compaction;
    readonly settled: Settled;
  };

/** Of a store on a cluster its own engine is that of the first shard, where the state lies. */
export type Store = Shard &
  Pick<StoreBase, 'durability' | 'commits' | 'lost' | 'backups'> & {
    readonly now: () => number;
    readonly state: State;
    readonly metrics: Metrics;
    /** All of it; of a store without a cluster itself alone. */
    readonly shards: readonly [Shard, ...Shard[]];
    readonly shardOf: (host: string) => Shard;
  };

/** What a store is opened by. What is left out stays as it was when the store was opened last. */
export type StoreSettings = {
  /** The data directory, which is held by one collector also where the data are on a server: it has the access key. */
  readonly data: string;
  /** null: the engine runs in this process, on the data directory. */
  readonly storeUrl?: ServerAddress | null;
  /** Those servers of it to keep everything on, each its share of hosts. */
  readonly storeCluster?: string;
  /** Tells people while another collector has the database; what it gives is called when that is over. */
  readonly onStandby?: (message: string) => Promise<() => Promise<void>>;
  /** Ends waiting for a server that is away, or that another collector has. */
  readonly closing?: AbortSignal;
  /** How long tiers are kept from now on. */
  readonly keep?: Partial<Keep>;
  /** Where backups are written; empty or left out: to the folder `backups` of the data directory. */
  readonly backupTo?: string;
  readonly durability?: Durability;
};

/** Opens what keeps data, and what looks after it. Whatever has to be closed is in `opened` at once. */
export async function openStore(settings: StoreSettings, opened: Part[], log: Log, now: () => number): Promise<Store> {
  const {
    data,
    storeUrl = null,
    storeCluster = '',
    closing = new AbortController().signal,
    onStandby = tellNobody,
  } = settings;
  const ballast = makeBallast(data);
  await ballast.releaseIfFull(); // what fills a disk may also have ended the last process: what is stored can be read
  const lock = await lockDirectory(data);
  if (!lock.ok) throw new Error(lock.error);
  opened.push({ name: 'data directory', close: lock.value.release });
  const around = { opened, log, now };
  if (storeUrl === null)
    return tendStore(alone(await openEmbeddedBase({ ...settings, ballast }, opened, log, now)), settings, around);
  const options = { address: storeUrl, data, closing, onStandby };
  const cluster =
    storeCluster === ''
      ? alone(await openServerBase(options, opened, log))
      : await openCluster({ ...options, cluster: storeCluster }, opened, log);
  return tendStore(cluster, settings, around);
}

function alone(base: StoreBase): Cluster {
  return { bases: [base], shardOf: () => 0 };
}

const tellNobody = async (): Promise<() => Promise<void>> => async () => undefined;

type Surroundings = { readonly opened: Part[]; readonly log: Log; readonly now: () => number };

/** What goes on in a store, whatever it is kept in. */
async function tendStore({ bases, shardOf }: Cluster, settings: StoreSettings, around: Surroundings): Promise<Store> {
  const { log, now } = around;
  const [base, ...otherBases] = bases;
  const first = await tendShard(base, settings, around);
  const shards: [Shard, ...Shard[]] = [first];
  for (const other of otherBases) shards.push(await tendShard(other, settings, around));
  const state = await loadState(first.engine, now);
  return {
    ...first,
    fault: () => findFault(shards),
    durability: base.durability,
    commits: base.commits,
    backups: base.backups,
    lost: Promise.race(bases.map(({ lost }) => lost)),
    now,
    state,
    metrics: makeMetrics({ table: state.metrics, log, now }),
    shards,
    shardOf: (host) => shards[shardOf(host)] ?? first,
  };
}

function findFault(shards: readonly Shard[]): string | null {
  for (const [i, shard] of shards.entries()) {
    const fault = shard.fault();
    if (fault !== null) return shards.length === 1 ? fault : `Shard ${i + 1} of ${shards.length}: ${fault}`;
  }
  return null;
}

/** What goes on in each shard, as if it were alone. */
async function tendShard(
  { watched, ensureRoom, sync, mender, ballast }: StoreBase,
  { keep: keepWanted = {} }: StoreSettings,
  { opened, log, now }: Surroundings,
): Promise<Shard> {
  const { engine, fault } = watched;
  const keep = await applyKeep(engine, keepWanted, ensureRoom);
  const versions = await openVersions(engine, now);
  const onFailed = (event: string) => (error: unknown) => {
    if (fault() === null) log.error(event, { error }); // a store that takes nothing has been told of
  };
  const archive = await openArchive(engine, {
    now,
    between: (task) => compaction.between(task),
    sync: sync.archive,
  });
  const compaction: Compaction = await openCompaction(engine, versions, {
    onFull: () => compacting.wake(),
    prepare: archive.finish,
    syncChunks: sync.chunks,
  });
  const settled: Settled = (task) =>
    compaction.between(async () => {
      await archive.finish();
      return task();
    });
  const rollUp = (signal: AbortSignal): Promise<void> => rollUpDue(engine, { versions, now, settled }, signal);
  const archiveDue = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted && (await archive.moveNext(signal)));
  };
  const compacting = repeat(COMPACTION_MS, compaction.run, onFailed('compaction.failed'));
  const archiving = repeat(ARCHIVE_RUN_MS, archiveDue, onFailed('archive.failed'));
  const rolling = repeat(ROLLUP_RUN_MS, rollUp, onFailed('rollup.failed'));
  // All are asked to end before one is waited for: they wait for each other.
  const close = (): unknown => Promise.all([compacting, archiving, rolling].map((one) => one.close()));
  opened.push({ name: 'compaction, archive and rollup', close });

  const probing = repeat(
    PROBE_MS,
    async () => void (fault() === null || (await probe(engine))),
    () => undefined, // it still takes nothing, which has been told of
  );
  opened.push({ name: 'probe', close: () => probing.close() });
  // What is being moved to the archive must not come back behind what drops it.
  const drop: Mender['drop'] = (table, act) => compaction.between(() => mender.drop(table, act));
  return { ...watched, mender: { ...mender, drop }, ballast, keep, versions, compaction, settled };
}
