import { StoreError } from '../domain/store-error.ts';
import { ask } from './claims.ts';
import type { ServerAddress } from './server-address.ts';
import { connect } from './server-client.ts';
import type { Engine } from './store.ts';

/**
 * A cluster: all that there is of a host lies on one of its shards, each of which is a store of its own, in a database
 * `<database>_local`. In `<database>`, on every shard, there is a table over all of them for each of its tables and views:
 * for people, who read there as on a single server.
 */
export type Shard = { readonly number: number; readonly weight: number; readonly address: ServerAddress };

const ASK_MS_MAX = 10_000;

/** The shards of a cluster that a server knows, in their order, each reached as the server itself is. */
export async function listShards(address: ServerAddress, cluster: string): Promise<readonly Shard[]> {
  const all = await askSystem(
    address,
    'SELECT cluster, shard_num AS number, shard_weight AS weight, host_name AS host FROM clusters ORDER BY number, replica_num',
  );
  const nodes = all.filter((row) => row['cluster'] === cluster);
  if (nodes.length === 0)
    throw refuse(describeUnknown(cluster, [...new Set(all.map((row) => String(row['cluster'])))]));
  const numbers = nodes.map(({ number }) => Number(number));
  const twice = numbers.find((number, i) => numbers.indexOf(number) !== i);
  if (twice !== undefined)
    throw refuse(
      `Shard ${twice} of the cluster ${cluster} has several replicas, and Muster writes to one server a shard; name a cluster with one replica a shard in MUSTER_STORE_CLUSTER`,
    );
  return nodes.map(({ number, weight, host }) => ({
    number: Number(number),
    weight: Number(weight),
    address: { ...address, origin: onHost(address.origin, String(host)), database: `${address.database}_local` },
  }));
}

function describeUnknown(cluster: string, known: readonly string[]): string {
  const there = known.length === 0 ? 'it knows none' : `it knows ${known.join(', ')}`;
  return `The ClickHouse server knows no cluster ${cluster}: ${there}; correct MUSTER_STORE_CLUSTER, or add it to remote_servers of every server`;
}

function onHost(origin: string, host: string): string {
  const url = new URL(origin);
  url.hostname = host.includes(':') ? `[${host}]` : host;
  return url.origin;
}

/** Refuses a database in which a collector without a cluster has kept its store; it has none of ours then. */
export async function ensureOverall(address: ServerAddress): Promise<void> {
  const found = await askSystem(
    address,
    `SELECT 1 FROM tables WHERE database = '${address.database}' AND name = 'arrivals' AND engine != 'Distributed'`,
  );
  if (found.length > 0)
    throw refuse(
      `The database ${address.database} holds the store of a single server; start the collector without MUSTER_STORE_CLUSTER, or name another database in MUSTER_STORE_URL for the cluster`,
    );
}

/** Refuses, without a cluster, a database whose tables are over those of one. */
export async function ensureSingle(address: ServerAddress): Promise<void> {
  const found = await askSystem(
    address,
    `SELECT extract(engine_full, 'Distributed\\\\(\\'([^\\']*)') AS cluster FROM tables
     WHERE database = '${address.database}' AND name = 'arrivals' AND engine = 'Distributed'`,
  );
  const [row] = found;
  if (row === undefined) return;
  throw refuse(
    `The store in the database ${address.database} lies on the cluster ${String(row['cluster'])}; name it in MUSTER_STORE_CLUSTER, or another database in MUSTER_STORE_URL`,
  );
}

async function askSystem(address: ServerAddress, query: string) {
  const client = connect(address, { database: 'system', connections: 1, msMax: ASK_MS_MAX });
  try {
    return await ask(client, query);
  } finally {
    await client.close();
  }
}

/**
 * Notes which shard this is of how many, and refuses one that was another: the hosts that lie there would be looked for
 * elsewhere.
 */
export async function ensurePlace(engine: Engine, place: string): Promise<void> {
  await engine.command('CREATE TABLE IF NOT EXISTS cluster_place (place String) ENGINE = MergeTree ORDER BY tuple()');
  const [found] = await engine.query('SELECT place FROM cluster_place LIMIT 1');
  if (found === undefined)
    await engine.insert('cluster_place', 1, [{ name: 'place', type: 'String', values: [place] }]);
  else if (found['place'] !== place)
    throw refuse(
      `This server was shard ${String(found['place'])} of its cluster, and is ${place} now: hosts would be looked for where they are not; give remote_servers the shards that it had, in that order and with those weights, or begin in another database`,
    );
}

/** Where a host lies: ClickHouse and we compute it alike. */
const SHARD_OF = 'CRC32(host)';

/** Makes the tables over all shards, on one of them. They hold nothing, so that each start makes them anew. */
export async function makeOverall(engine: Engine, database: string, cluster: string): Promise<void> {
  const local = `${database}_local`;
  const tables = await engine.query(
    `SELECT name, engine = 'View' AND match(create_table_query, '{\\\\w+:') AS hasParameters, as_select AS body,
       name IN (SELECT table FROM system.columns WHERE database = currentDatabase() AND name = 'host') AS hasHost
     FROM system.tables WHERE database = currentDatabase() AND NOT match(name, '^(claim_[0-9]+|cluster_place|migrations)$')`,
  );
  for (const { name, hasParameters, hasHost, body } of tables) {
    const table = `${database}.${String(name)}`;
    await engine.command(
      Number(hasParameters) === 1
        ? `CREATE OR REPLACE VIEW ${table} AS ${String(body).replaceAll(`${local}.`, `${database}.`)}`
        : `CREATE OR REPLACE TABLE ${table} AS ${local}.${String(name)}
           ENGINE = Distributed('${cluster}', '${local}', '${String(name)}', ${Number(hasHost) === 1 ? SHARD_OF : "CRC32('')"})`,
    );
  }
}

function refuse(message: string): StoreError {
  return new StoreError(message, false, null, true);
}
