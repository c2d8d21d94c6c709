import { crc32 } from 'node:zlib';

import type { Log } from '@muster/proto/log';

import { StoreError } from './domain/store-error.ts';
import { openServerBase, waitForServer, type ServerOptions } from './open-server.ts';
import type { Part, StoreBase } from './open-store.ts';
import { ensureOverall, ensurePlace, listShards, makeOverall, type Shard } from './store/cluster.ts';
import { prepareDatabase } from './store/server-client.ts';

export type ClusterOptions = ServerOptions & { readonly cluster: string };

/** Where hosts lie: `slots[place]` is the shard, by its place in the list. */
export type Cluster = {
  readonly bases: readonly [StoreBase, ...StoreBase[]];
  readonly shardOf: (host: string) => number;
};

/** Opens a store on each shard of a cluster, and makes the tables over them all. */
export async function openCluster(options: ClusterOptions, opened: Part[], log: Log): Promise<Cluster> {
  const { address, cluster } = options;
  const shards = await waitForServer(options, log, async () => {
    await prepareDatabase(address);
    await ensureOverall(address);
    return listShards(address, cluster);
  });
  const slots = shards.flatMap(({ weight }, i) => Array.from({ length: weight }, () => i));
  const place = ({ number }: Shard): string =>
    `${number} of ${shards.map((one) => `${one.number}x${one.weight}`).join(',')}`;
  const bases: StoreBase[] = [];
  for (const shard of shards) {
    const base = await nameShard(shard, () =>
      openServerBase({ ...options, address: shard.address, shard: shard.number }, opened, log),
    );
    await ensurePlace(base.watched.engine, place(shard));
    bases.push(base);
  }
  for (const [i, shard] of shards.entries())
    await nameShard(shard, async () => {
      await prepareDatabase({ ...shard.address, database: address.database });
      const engine = bases[i]?.watched.engine;
      if (engine !== undefined) await makeOverall(engine, address.database, cluster);
    });
  const [first, ...others] = bases;
  if (first === undefined) throw new Error('A cluster has a shard'); // what is listed is not empty
  return { bases: [first, ...others], shardOf: (host) => slots[crc32(host) % slots.length] ?? 0 };
}

/** Which of them is at fault is for people to know. */
async function nameShard<T>({ number, address }: Shard, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause;
    throw new StoreError(`Shard ${number}, ${address.origin}: ${cause.message}`, cause.isFull, cause, cause.isOutage);
  }
}
