import { crc32 } from 'node:zlib';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { auditBooks, makeBookkeepingHost } from '../scripts/bookkeeping-host.ts';
import { findServerFault } from '../scripts/clickhouse-server/server.ts';
import { enrolHost } from '../scripts/enrol.ts';
import { startCollector } from '../scripts/start-collector.ts';
import { until } from '../scripts/until.ts';
import { encodeBatch } from '@muster/proto/batch';
import { openServer } from './store/server.ts';
import type { ServerAddress } from './store/server-address.ts';
import {
  makeTestBatch,
  openTestCollector,
  readCode,
  readJson,
  type TestCollector,
  type TestCollectorOptions,
} from './test-collector.ts';
import { startTestCluster, type TestCluster } from './test-store.ts';

// A store on two servers, each of which keeps all of some hosts.

/** Other systems have one address of loopback. */
const options = { skip: findServerFault() !== null || process.platform !== 'linux', timeout: 120_000 };
let directory: string;
let cluster: TestCluster;

beforeAll(async () => {
  if (options.skip) return;
  directory = await mkdtemp(join(tmpdir(), 'muster-cluster-'));
  cluster = await startTestCluster(directory);
});

afterAll(async () => {
  if (options.skip) return;
  await cluster.stop();
  await rm(directory, { recursive: true });
});

const openedHere = new Set<TestCollector>();
afterEach(async () => {
  for (const collector of openedHere) await collector.stop();
  openedHere.clear();
});

/** A collector that a test which fails leaves behind would keep the database. */
async function open(given: TestCollectorOptions): Promise<TestCollector> {
  const collector = await openTestCollector(given);
  openedHere.add(collector);
  return collector;
}

async function close(collector: TestCollector): Promise<void> {
  openedHere.delete(collector);
  await collector.stop();
}

function addressOf(node: number, change: Partial<ServerAddress> = {}): ServerAddress {
  const address = cluster.nodes[node]?.address;
  if (address === undefined) throw new Error(`There is no node ${node}`);
  return { ...address, ...change };
}

/** What a statement answers in a database of a server. */
async function read(address: ServerAddress, sql: string): Promise<readonly Record<string, unknown>[]> {
  const engine = await openServer(address);
  try {
    return await engine.query(sql);
  } finally {
    await engine.close();
  }
}

async function drop(): Promise<void> {
  for (const node of [0, 1])
    for (const database of ['fleet', 'fleet_local', 'other'])
      if (database !== 'other' || node === 0) {
        const engine = await openServer(addressOf(node, { database }));
        await engine.command(`DROP DATABASE ${database} SYNC`);
        await engine.close();
      }
}

const HOSTS = Array.from({ length: 12 }, (_, i) => `host-${i}`);
const START_MS = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 7_200_000;

/** The same of every collector: hosts, and of each some batches of an hour, one of them twice; the ids of the hosts. */
async function fill(collector: TestCollector): Promise<readonly string[]> {
  const ids: string[] = [];
  const tokens: string[] = [];
  for (const [i, name] of HOSTS.entries()) {
    const { host, token } = await collector.enroll(name, String(i).padStart(64, '0'));
    ids.push(host);
    tokens.push(token);
  }
  for (const seq of [1, 2, 2, 3, 4, 5]) {
    const pushes = tokens.map((token, i) => {
      const batch = makeTestBatch(seq, START_MS + seq * 240_000, [
        ['m.gauge', '', i * seq],
        ['m.gauge', 'a=b', i + seq],
      ]);
      return collector.push(token, encodeBatch({ ...batch, everyMs: 60_000 }));
    });
    for (const { status } of await Promise.all(pushes)) expect(status).toBe(200);
  }
  return ids;
}

/** As the answers of one server: a subquery is about all shards. */
const ALIKE = "SETTINGS distributed_product_mode = 'global'";

const READS = [
  `SELECT name, metric, labels, ts, value FROM samples INNER JOIN hosts USING (host) ORDER BY ALL`,
  `SELECT count() AS n, uniqExact(host) AS hosts, sum(value) AS total FROM samples`,
  `SELECT name, labels, ts, samples, min, max, avg, last FROM rollup_5m FINAL INNER JOIN hosts USING (host) ORDER BY ALL`,
  `SELECT count() AS n FROM samples WHERE host IN (SELECT host FROM batches WHERE seq = 5)`,
  `SELECT uniqExact(host, epoch, seq) AS n FROM batches`,
  `SELECT count() AS n FROM arrivals`,
];

test('all of a host lies on one shard, and reads over all of them answer as one server does', options, async () => {
  const other = { storeUrl: addressOf(0, { database: 'other' }), data: join(directory, 'single') };
  const single = await open(other);
  await fill(single);
  await close(single);
  await close(await open(other)); // which compacts what has arrived

  const own = { storeCluster: 'duo', data: join(directory, 'own') };
  const collector = await open({ ...own, storeUrl: addressOf(0) });
  const ids = await fill(collector);
  const [first = ''] = ids;
  const path = `/api/v1/hosts/${first}/completeness?fromMs=${START_MS}&toMs=${START_MS + 3_600_000}`;
  const told = await readJson(await collector.asAdmin(path));
  expect(told).toMatchObject({ total: { batchesReceived: 5, ticksReceived: 5 } });
  await close(collector);
  const next = await open({ ...own, storeUrl: addressOf(1) });
  expect(await readJson(await next.asAdmin(path))).toEqual(told);
  const job = await fetch(`${next.origin}/api/v1/store/jobs/cleanup`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${next.key}` },
    body: JSON.stringify({ apply: false }),
  });
  expect([job.status, await readCode(job)]).toEqual([400, 'cluster']);
  await close(next);

  for (const sql of READS) {
    const expected = await read(addressOf(0, { database: 'other' }), `${sql} ${ALIKE}`);
    for (const node of [0, 1]) expect(await read(addressOf(node), `${sql} ${ALIKE}`), sql).toEqual(expected);
  }
  const view = (host: string): string =>
    `SELECT * FROM completeness(host = '${host}', fromMs = ${START_MS}, toMs = ${START_MS + 3_600_000})`;
  for (const host of ids) {
    const shard = crc32(host) % 2;
    const rows = await read(addressOf(shard, { database: 'fleet_local' }), view(host));
    expect(rows).toHaveLength(1);
    for (const node of [0, 1]) expect(await read(addressOf(node), view(host))).toEqual(rows);
    for (const table of ['samples', 'batches', 'rollup_5m'])
      expect(
        await read(
          addressOf(1 - shard, { database: 'fleet_local' }),
          `SELECT 1 FROM ${table} WHERE host = '${host}' LIMIT 1`,
        ),
      ).toEqual([]);
  }
  await drop();
});

test('a shard that is killed again and again costs no sample, and none is there twice', options, async () => {
  const lines: string[] = [];
  const collector = await startCollector({
    data: join(directory, 'data'),
    storeUrl: cluster.nodes[0]?.url ?? '',
    storeCluster: 'duo',
    onLine: (line) => void lines.push(line),
  });
  const hosts = await Promise.all(
    HOSTS.slice(0, 6).map(async (name) => {
      const { host, token } = await enrolHost(collector, name);
      return makeBookkeepingHost(collector.origin, host, token);
    }),
  );
  const startMs = Math.floor(Date.now() / 1000) * 1000 - 12 * 3_600_000;
  const statuses = new Set<number | null>();
  let isOver = false;
  const loops = hosts.map(async (host) => {
    for (let tickMs = startMs; !isOver; tickMs += 50_000)
      for (let status = null; status !== 200 && !isOver;) statuses.add((status = await host.push(tickMs, 50)));
  });
  const countAcknowledged = (): number => hosts.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
  const isReady = async (): Promise<Response> => fetch(`${collector.origin}/readyz`);
  for (const node of [1, 0, 1]) {
    const before = countAcknowledged();
    await until('a load', () => (countAcknowledged() > before + 500 ? true : null));
    await cluster.nodes[node]?.kill();
    await until('the fault to be known', async () => ((await isReady()).status === 503 ? true : null));
    expect(await (await isReady()).text()).toContain(`Shard ${node + 1} of 2: Cannot reach the ClickHouse server`);
    await cluster.restart(node);
    await until('recovery', async () => ((await isReady()).status === 200 ? true : null));
  }
  const before = countAcknowledged();
  await until('a load', () => (countAcknowledged() > before + 500 ? true : null));
  isOver = true;
  await Promise.all(loops);
  expect(await collector.stop()).toBe(0);
  expect(statuses).toEqual(new Set([200, 503]));
  for (const node of [0, 1]) {
    const engine = await openServer(addressOf(node, { database: 'fleet_local' }));
    const audit = await auditBooks(
      engine,
      hosts.filter(({ host }) => crc32(host) % 2 === node),
      startMs,
    );
    await engine.close();
    expect(audit.acknowledged).toBeGreaterThan(500);
    expect(audit).toMatchObject({ lost: 0, duplicated: 0, altered: 0 });
  }
  await drop();
});

test('what a cluster cannot be opened by is told, and what to do', options, async () => {
  const refuse = async (storeCluster: string, said: string, change: Partial<ServerAddress> = {}): Promise<void> => {
    const data = join(directory, 'refused');
    await expect(open({ storeUrl: addressOf(0, change), storeCluster, data })).rejects.toThrow(said);
  };
  await refuse('trio', 'knows no cluster trio: it knows duo, pair, swapped; correct MUSTER_STORE_CLUSTER');
  await refuse('pair', 'Shard 1 of the cluster pair has several replicas');
  await refuse('duo', 'GRANT ALL ON the database', { user: 'poor' });
  const data = join(directory, 'kinds');
  await close(await open({ storeUrl: addressOf(0), storeCluster: 'duo', data }));
  await refuse('swapped', 'was shard 2 of 1x1,2x1 of its cluster, and is 1 of');
  await refuse('', 'The store in the database fleet lies on the cluster duo; name it in MUSTER_STORE_CLUSTER');
  await close(await open({ storeUrl: addressOf(0, { database: 'other' }), data }));
  await refuse('duo', 'The database other holds the store of a single server', { database: 'other' });
  await drop();
});

test('a second collector on a cluster stands by, whichever of its servers it is told', options, async () => {
  const start = (name: string, node: number) => {
    const lines: string[] = [];
    const ready = startCollector({
      data: join(directory, name),
      storeUrl: cluster.nodes[node]?.url ?? '',
      storeCluster: 'duo',
      onLine: (line) => void lines.push(line),
    });
    return { ready, count: (event: string) => lines.filter((line) => line.includes(`"event":"${event}"`)).length };
  };
  // At once: each takes the shards in their order, so that none waits for the other for ever.
  const both = [start('one', 0), start('two', 1)] as const;
  const [winner, loser] = await Promise.race([
    both[0].ready.then((ready) => [ready, both[1]] as const),
    both[1].ready.then((ready) => [ready, both[0]] as const),
  ]);
  await until('the standby', () => (loser.count('store.standby') === 1 ? true : null));
  expect(loser.count('collector.ready')).toBe(0);
  expect(await winner.stop()).toBe(0);
  const next = await loser.ready;
  const { host, token } = await enrolHost(next, 'a');
  expect(await makeBookkeepingHost(next.origin, host, token).push(START_MS, 50)).toBe(200);
  expect(await next.stop()).toBe(0);
  await drop();
});
