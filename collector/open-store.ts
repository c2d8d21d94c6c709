import type { Log } from '@muster/proto/log';

import { makeMetrics, type Metrics } from './metrics.ts';
import { openEmbeddedBase } from './open-embedded.ts';
import { openServerBase } from './open-server.ts';
import { repeat } from './repeat.ts';
import { makeBallast, type Ballast } from './store/ballast.ts';
import { openCompaction, type Compaction } from './store/compaction.ts';
import { lockDirectory } from './store/lock.ts';
import type { Mender } from './store/mend.ts';
import { probe } from './store/migrations.ts';
import { openVersions, rollUpDue } from './store/rollup.ts';
import type { ServerAddress } from './store/server-address.ts';
import { loadState, type State } from './store/state.ts';
import type { WatchedEngine } from './store/watch.ts';

/** What has arrived is read from other places than the rest until it is compacted: no more than the page shows at once. */
const COMPACTION_MS = 20_000;
const ROLLUP_RUN_MS = 60_000;
/** While the store takes nothing it is asked this often: perhaps nobody else writes, or is sent here before it is ready. */
const PROBE_MS = 2_000;

export type Part = { readonly name: string; readonly close: () => unknown };

/** An engine with its schema, and who looks after its disk. */
export type StoreBase = { readonly watched: WatchedEngine; readonly mender: Mender; readonly ballast: Ballast };

export type Store = WatchedEngine &
  Omit<StoreBase, 'watched'> & { readonly state: State; readonly metrics: Metrics; readonly compaction: Compaction };

/** What a store is opened by. */
export type StoreSettings = {
  /** The data directory, which is held by one collector also where the data are on a server: it has the access key. */
  readonly data: string;
  /** null: the engine runs in this process, on the data directory. */
  readonly storeUrl: ServerAddress | null;
  /** Ends waiting for a server that is away. */
  readonly closing?: AbortSignal;
};

/** Opens what keeps data, and what looks after it. Whatever has to be closed is in `opened` at once. */
export async function openStore(
  { data, storeUrl, closing = new AbortController().signal }: StoreSettings,
  opened: Part[],
  log: Log,
  now: () => number,
): Promise<Store> {
  const ballast = makeBallast(data);
  await ballast.releaseIfFull(); // what fills a disk may also have ended the last process: what is stored can be read
  const lock = await lockDirectory(data);
  if (!lock.ok) throw new Error(lock.error);
  opened.push({ name: 'data directory', close: lock.value.release });
  const base =
    storeUrl === null
      ? await openEmbeddedBase({ data, ballast }, opened, log, now)
      : await openServerBase({ address: storeUrl, closing }, opened, log);
  return tendStore(base, opened, log, now);
}

/** What goes on in a store, whatever it is kept in. */
async function tendStore({ watched, ...disk }: StoreBase, opened: Part[], log: Log, now: () => number): Promise<Store> {
  const { engine, fault } = watched;
  const state = await loadState(engine, now);
  const versions = await openVersions(engine, now);
  const onFailed = (event: string) => (error: unknown) => {
    if (fault() === null) log.error(event, { error }); // a store that takes nothing has been told of
  };
  const compaction: Compaction = await openCompaction(engine, versions, () => compacting.wake());
  const compacting = repeat(COMPACTION_MS, compaction.run, onFailed('compaction.failed'));
  opened.push({ name: 'compaction', close: () => compacting.close() });
  const rollUp = (signal: AbortSignal): Promise<void> => rollUpDue(engine, { versions, now }, signal);
  const rolling = repeat(ROLLUP_RUN_MS, rollUp, onFailed('rollup.failed'));
  opened.push({ name: 'rollup', close: () => rolling.close() });

  const probing = repeat(
    PROBE_MS,
    async () => void (fault() === null || (await probe(engine))),
    () => undefined, // it still takes nothing, which has been told of
  );
  opened.push({ name: 'probe', close: () => probing.close() });
  return { ...watched, ...disk, state, metrics: makeMetrics({ table: state.metrics, log, now }), compaction };
}
