import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeEach, expect, test } from 'vitest';

import { findServerFault } from '../../scripts/clickhouse-server/server.ts';
import { until } from '../../scripts/until.ts';
import { startTestServer, type TestServer } from '../test-store.ts';
import { ensureUnclaimed, STALE_MS, takeClaim, type ClaimOptions } from './claim.ts';
import { LAPSE_MS } from './claims.ts';
import { endFormer } from './former-claims.ts';
import { connect as connectTo, statementsOf } from './server-client.ts';
import { openServer } from './server.ts';
import type { Engine } from './store.ts';

// Who may write to a database on a server. Each of them is a process of its own in standby.test.ts.

const options = { skip: findServerFault() !== null, timeout: 60_000 };
const directory = await mkdtemp(join(tmpdir(), 'muster-claim-'));
let server: TestServer | null = null;
const closers: (() => Promise<void>)[] = [];

async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).toReversed()) await close();
}

afterAll(async () => {
  await closeAll();
  await server?.stop();
  await rm(directory, { recursive: true });
});

beforeEach(async () => {
  if (options.skip) return;
  await closeAll();
  server ??= await startTestServer(join(directory, 'clickhouse'));
  const engine = await openPlain();
  for (const { name } of await engine.query(`SELECT name FROM system.tables WHERE database = currentDatabase()`))
    await engine.command(`DROP TABLE ${String(name)} SYNC`);
  await engine.command('CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a');
});

function theServer(): TestServer {
  if (server === null) throw new Error('There is no server');
  return server;
}

/** An engine that has no claim and asks for none. */
async function openPlain(): Promise<Engine> {
  const engine = await openServer(theServer().address);
  closers.push(() => engine.close());
  return engine;
}

/** Begins to take the database; `told` is what it says while it stands by. */
function begin(given: Partial<ClaimOptions> = {}) {
  const told: string[] = [];
  const id = randomUUID();
  const claim = takeClaim({
    address: theServer().address,
    id,
    former: null,
    onStandby: async (message) => void told.push(message),
    closing: new AbortController().signal,
    now: () => performance.now(),
    ...given,
  });
  return { id, told, claim };
}

/** A collector that has the database, and writes. */
async function take(given: Partial<ClaimOptions> = {}) {
  const { id, claim: taking } = begin(given);
  const claim = await taking;
  const engine = await openServer(given.address ?? theServer().address, claim);
  closers.push(claim.close, () => engine.close());
  const insert = (...values: readonly number[]): Promise<void> =>
    engine.insert('t', values.length, [{ name: 'a', type: 'UInt32', values }]);
  return { id, claim, engine, insert };
}

async function read(engine: Engine): Promise<readonly number[]> {
  return (await engine.query('SELECT a FROM t ORDER BY a')).map(({ a }) => Number(a));
}

const TAKEN = { name: 'StoreError', isOutage: true, message: expect.stringContaining('has taken the database over') };

test('of several that begin at once one has the database, then another when that one ends', options, async () => {
  const all = [begin(), begin(), begin()];
  const left = new Set(all.keys());
  for (const which of ['first', 'second', 'third']) {
    const [won, claim] = await Promise.race([...left].map(async (i) => [i, await all[i]?.claim] as const));
    left.delete(won);
    const told = [...left].map((i) => all[i]?.told ?? []);
    if (which === 'first')
      await until('the others to stand by', () => (told.every((one) => one.length > 0) ? true : null));
    expect(told.flat().filter((message) => !message.includes('has this database; this one takes over'))).toEqual([]);
    const engine = await openPlain();
    expect(await engine.query(`SELECT count() AS n FROM system.tables WHERE name LIKE 'claim%'`)).toEqual([{ n: 1 }]);
    await claim?.close();
  }
  expect(left.size).toBe(0);
});

test('who stands by is told once, and ends at once when it is asked to', options, async () => {
  await take();
  const closing = new AbortController();
  const { told, claim } = begin({ closing: closing.signal });
  await until('the standby', () => (told.length > 0 ? true : null));
  closing.abort(new Error('stop'));
  await expect(claim).rejects.toThrow('stop');
  expect(told).toHaveLength(1);
});

test('one that has not been heard for long is taken over, one that was heard just now is not', options, async () => {
  const dead = await take();
  const { told, claim } = begin();
  await until('the standby', () => (told.length > 0 ? true : null));
  const engine = await openPlain();
  // By the clock of the server, whichever way that was set.
  await engine.command(`INSERT INTO claim_1 (beat, at) SELECT 1000, now64(3) - ${LAPSE_MS / 1000}`);
  await (await claim).close();
  await expect(dead.insert(1)).rejects.toMatchObject(TAKEN);
});

test('the next process of a data directory does not wait for the one before', options, async () => {
  const killed = await take();
  const next = await take({ former: killed.id });
  await next.insert(1);
  await expect(killed.insert(2)).rejects.toMatchObject(TAKEN);
  await expect(killed.engine.command('TRUNCATE TABLE t')).rejects.toMatchObject(TAKEN);
  expect(await killed.claim.lost).toMatchObject(TAKEN);
  await expect(killed.claim.renew()).rejects.toMatchObject(TAKEN);
  await next.claim.renew();
  expect(await read(next.engine)).toEqual([1]);
});

/** A way to the server on which what is sent waits, as in a network that is cut, until it is let through. */
async function openWay() {
  const sockets = new Set<Socket>();
  let isHeld = false;
  const listener = createServer((near) => {
    const far = connect(theServer().port, '127.0.0.1');
    for (const socket of [near, far]) sockets.add(socket.on('error', () => undefined));
    near.pipe(far).pipe(near);
    if (isHeld) near.unpipe(far);
    sockets.add(near);
    near.on('resume-way', () => near.pipe(far));
    near.on('hold-way', () => near.unpipe(far));
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const tell = (event: string): void => {
    isHeld = event === 'hold-way';
    for (const socket of sockets) socket.emit(event);
  };
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  return {
    address: { ...theServer().address, origin: `http://127.0.0.1:${port}` },
    hold: () => tell('hold-way'),
    release: () => tell('resume-way'),
  };
}

test('what was sent before another took over and comes after it is refused', options, async () => {
  const way = await openWay();
  const cut = await take({ address: way.address });
  await cut.insert(1);
  await cut.engine.command("ALTER TABLE t MODIFY COMMENT 'open'");
  way.hold();
  const late = [cut.insert(2), cut.engine.command('TRUNCATE TABLE t')].map((task) =>
    task.then(
      () => null,
      (error: unknown) => error,
    ),
  );
  const next = await take({ former: cut.id });
  await next.insert(3);
  way.release();
  for (const fault of await Promise.all(late)) expect(fault).toMatchObject(TAKEN);
  expect(await read(next.engine)).toEqual([1, 3]);
});

test('what goes on while another takes over has ended when that one begins', options, async () => {
  const slow = await take();
  const told = slow.engine.command(
    'INSERT INTO t SELECT sleepEachRow(1) + 7 FROM numbers(100) SETTINGS max_block_size = 1',
  );
  const fault = told.catch((error: unknown) => error);
  const engine = await openServer(theServer().address, slow.claim);
  const isRunning = async (): Promise<true | null> =>
    (await engine.query(`SELECT 1 FROM system.processes WHERE query LIKE 'INSERT INTO t SELECT sleep%'`)).length > 0
      ? true
      : null;
  await until('the statement', isRunning);
  const next = await take({ former: slow.id });
  expect(await isRunning()).toBe(null);
  const rows = await read(next.engine);
  expect(await fault).toMatchObject({ name: 'StoreError' });
  await engine.close();
  expect(await read(next.engine)).toEqual(rows);
});

test('who was not able to say for long that it is there says so before it writes', options, async () => {
  let nowMs = 0;
  const { engine, insert } = await take({ now: () => nowMs });
  const countBeats = async (): Promise<number> =>
    Number((await engine.query('SELECT max(beat) AS n FROM claim_1'))[0]?.['n']);
  await insert(1);
  expect(await countBeats()).toBe(1);
  nowMs += STALE_MS + 1;
  await insert(2);
  expect(await countBeats()).toBe(2);
  expect(await read(engine)).toEqual([1, 2]);
});

test('a server that was started again has forgotten its sessions, and the claim counts still', options, async () => {
  const { engine, insert } = await take();
  await insert(1);
  const { port } = theServer();
  await server?.kill();
  server = await startTestServer(join(directory, 'clickhouse'), port);
  // More than the server reads before it answers.
  const values = Array.from({ length: 1_000_000 }, (_, i) => i + 2);
  await engine.insert('t', values.length, [{ name: 'a', type: 'UInt32', values }]);
  await engine.command('ALTER TABLE t DELETE WHERE a > 2 SETTINGS mutations_sync = 2');
  expect(await read(engine)).toEqual([1, 2]);
});

test('who was stopped while it took over leaves one alone that has taken over since', options, async () => {
  const { engine, insert } = await take();
  const { address } = theServer();
  const client = connectTo(address, { database: address.database, connections: 1, msMax: 5_000 });
  await endFormer(client, { number: 1, prefix: statementsOf(address) });
  await insert(1);
  expect(await read(engine)).toEqual([1]);
  await endFormer(client, { number: 2, prefix: statementsOf(address) });
  await expect(insert(2)).rejects.toThrow('emptied or replaced');
  await client.close();
});

test('ensureUnclaimed() refuses a database that a collector has, and no other', options, async () => {
  await ensureUnclaimed(theServer().address);
  const { claim } = await take();
  await expect(ensureUnclaimed(theServer().address)).rejects.toThrow('has that database: stop it first');
  await claim.close();
  await ensureUnclaimed(theServer().address);
});

test('a database that was emptied is told of', options, async () => {
  const { claim, insert } = await take();
  await (await openPlain()).command('DROP TABLE claim_1 SYNC');
  await expect(claim.renew()).rejects.toThrow('The database was emptied or replaced under this collector');
  await expect(insert(1)).rejects.toThrow('emptied or replaced');
});
