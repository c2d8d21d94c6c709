import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ClickHouseError } from '@clickhouse/client';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { findServerFault } from '../../scripts/clickhouse-server/server.ts';
import { until } from '../../scripts/until.ts';
import { startTestServer, type TestServer } from '../test-store.ts';
import { parseServerAddress, type ServerAddress } from './server-address.ts';
import { AWAY, describeWriteFault } from './server-fault.ts';
import { openServer } from './server.ts';
import type { Engine } from './store.ts';

// What is a server's alone; what every store must stand is in the other files, which run on it too.

const skip = findServerFault() !== null;
let directory: string;
let server: TestServer;
let engine: Engine;

beforeAll(async () => {
  if (skip) return;
  directory = await mkdtemp(join(tmpdir(), 'muster-server-'));
  server = await startTestServer(join(directory, 'clickhouse'));
  engine = await openServer(server.address);
  await engine.command('CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a');
});

afterAll(async () => {
  if (skip) return;
  await engine.close();
  await server.stop();
  await rm(directory, { recursive: true });
});

const ENDLESS = 'SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1';

/** How many statements with a text in them the server runs, but for this question. */
async function countRunning(text: string): Promise<number> {
  const [row] = await engine.query(
    `SELECT count() AS n FROM system.processes WHERE position(query, {text:String}) > 0 AND query NOT LIKE '%system.processes%'`,
    { text },
  );
  return Number(row?.['n']);
}

/** How what is under way ends; null when it does well. */
function faultOf(task: Promise<unknown>): Promise<unknown> {
  return task.then(
    () => null,
    (error: unknown) => error,
  );
}

async function listen(listener: Server): Promise<string> {
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
}

test.for([
  ['http://u:p%25%2F@h:8123/db_1', { origin: 'http://h:8123', user: 'u', password: 'p%/', database: 'db_1' }],
  ['https://h:8443', { origin: 'https://h:8443', user: 'default', password: '', database: 'muster' }],
  ['http://h:8123/', { origin: 'http://h:8123', user: 'default', password: '', database: 'muster' }],
  ['h:8123', null],
  ['tcp://h:9000', null],
  ['http://h:8123/a-b', null],
  ['http://h:8123/a;DROP', null],
  ['http://h:8123/system', null],
  ['http://h:8123/db?x=1', null],
  ['http://u:%@h:8123/db', null],
] as const)('parseServerAddress(%s)', ([text, expected]) => {
  const parsed = parseServerAddress(text);
  expect(parsed.ok ? parsed.value : null).toEqual(expected);
});

test('a query that fails after rows were sent is an error, and no short result', { skip }, async () => {
  const late = 'SELECT number, throwIf(number = 3000000) FROM numbers(4000000) SETTINGS max_block_size = 1000';
  await expect(engine.query(late)).rejects.toThrow('throwIf');
});

test('a refusal of one statement is told as the server does, and is no outage', { skip }, async () => {
  await expect(engine.query('SELECT nothing')).rejects.toMatchObject({ name: 'Error', code: '47' });
  await expect(engine.command('DROP TABLE missing')).rejects.toMatchObject({ name: 'StoreError', isOutage: false });
});

test('a query that is under way when the store closes is cancelled on the server', { skip }, async () => {
  const other = await openServer(server.address);
  const asked = faultOf(other.query(ENDLESS));
  await until('the query', async () => ((await countRunning('sipHash64')) === 1 ? true : null));
  await other.close();
  expect(await asked).toMatchObject({ message: expect.stringContaining('closing') });
  await until('its end', async () => ((await countRunning('sipHash64')) === 0 ? true : null));
});

test('a read that nobody wants any more ends, and so does one that takes too much', { skip }, async () => {
  const leaving = new AbortController();
  const asked = faultOf(engine.query(`${ENDLESS} AND number != {n:UInt64}`, { n: 1 }, leaving.signal));
  await until('the query', async () => ((await countRunning('sipHash64')) === 1 ? true : null));
  leaving.abort();
  expect(await asked).toMatchObject({ name: 'AbortError' });
  await until('its end', async () => ((await countRunning('sipHash64')) === 0 ? true : null));
  const huge = 'SELECT length(groupArray(number)) AS n FROM numbers(100000000000) WHERE number != {n:UInt64}';
  await expect(engine.query(huge, { n: 1 })).rejects.toThrow('too much to read; ask for a shorter time');
});

/** A way to the server that can be cut. */
async function openWay(): Promise<{ address: ServerAddress; cut: () => void; close: () => void }> {
  const sockets = new Set<Socket>();
  const way = createServer((near) => {
    const far = connect(server.port, '127.0.0.1');
    for (const socket of [near, far]) sockets.add(socket.on('error', () => undefined));
    near.pipe(far).pipe(near);
  });
  const origin = await listen(way);
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  return {
    address: { ...server.address, origin },
    cut,
    close: () => {
      way.close();
      cut();
    },
  };
}

const SLOW = 'INSERT INTO t SELECT sleepEachRow(1) + 7 FROM numbers(100) SETTINGS max_block_size = 1';

test('a command of which the answer was lost has ended before the next one begins', { skip }, async () => {
  const way = await openWay();
  const other = await openServer(way.address);
  const lost = faultOf(other.command(SLOW));
  await until('the command', async () => ((await countRunning('sleepEachRow')) === 1 ? true : null));
  way.cut();
  expect(await lost).toMatchObject({ message: AWAY, isOutage: true });
  expect(await countRunning('sleepEachRow')).toBe(1); // the server knows nothing of it
  await other.command('TRUNCATE TABLE t');
  expect(await countRunning('sleepEachRow')).toBe(0);
  expect(await engine.query('SELECT count() AS n FROM t')).toEqual([{ n: 0 }]);
  await other.close();
  way.close();
});

test('a command of a collector that was killed has ended when the next one has opened', { skip }, async () => {
  const way = await openWay();
  const killed = await openServer(way.address);
  const lost = faultOf(killed.command(SLOW));
  await until('the command', async () => ((await countRunning('sleepEachRow')) === 1 ? true : null));
  way.close();
  expect(await lost).toMatchObject({ message: AWAY, isOutage: true });
  const next = await openServer(server.address);
  expect(await countRunning('sleepEachRow')).toBe(0);
  await Promise.all([next.close(), killed.close()]);
});

test.for([
  ['a wrong password', { password: 'wrong' }, 'refuses the user or the password'],
  ['an unknown user', { user: 'nobody' }, 'refuses the user or the password'],
  ['a user who may only read', { user: 'reader' }, 'without readonly'],
  ['a port where nobody listens', { origin: 'http://127.0.0.1:1' }, 'Cannot reach'],
  ['a name that nobody has', { origin: 'http://nowhere.invalid:8123' }, 'Cannot reach'],
] as const)('openServer() with %s says what to do', { skip }, async ([, wrong, said]) => {
  const opening = openServer({ ...server.address, ...wrong });
  await expect(opening).rejects.toMatchObject({ name: 'StoreError', message: expect.stringContaining(said) });
});

test('a user without rights is told which ones it needs', { skip }, async () => {
  const guest = await openServer({ ...server.address, user: 'guest' });
  await expect(guest.command('TRUNCATE TABLE t')).rejects.toThrow('GRANT ALL ON the database');
  await expect(guest.insert('t', 1, [{ name: 'a', type: 'UInt32', values: [1] }])).rejects.toMatchObject({
    message: expect.stringContaining('GRANT ALL ON the database'),
    isOutage: true,
  });
  await guest.close();
  const elsewhere = openServer({ ...server.address, user: 'guest', database: 'elsewhere' });
  await expect(elsewhere).rejects.toThrow('GRANT ALL ON the database');
});

const OUT_OF_SPACE = 'Cannot reserve 1.00 MiB, not enough space';
test.for([
  ['81', 'Database x does not exist', 'has no such database', true, false],
  ['164', 'Cannot execute query in readonly mode', 'without readonly', true, false],
  ['242', 'Table is in readonly mode', 'a table is read-only', true, false],
  ['243', OUT_OF_SPACE, 'the disk of the ClickHouse server is full', true, true],
  ['76', 'write: No space left on device', 'the disk of the ClickHouse server is full', true, true],
  ['252', 'Too many parts (3000)', 'too many parts', true, false],
  ['241', 'Memory limit exceeded', 'no memory left', false, false],
  ['202', 'Too many simultaneous queries', 'too many statements', false, false],
  ['27', 'Cannot parse input', 'the log of the collector says why', false, false],
] as const)('a write that ends with %s (%s) is told as %s', ([code, message, said, isOutage, isFull]) => {
  const fault = describeWriteFault(new ClickHouseError({ code, message, type: 'X' }));
  expect(fault).toMatchObject({ message: expect.stringContaining(said), isOutage, isFull });
});

test('openServer() with https where http is spoken says so', { skip }, async () => {
  const origin = server.address.origin.replace('http', 'https');
  await expect(openServer({ ...server.address, origin })).rejects.toThrow('is no ClickHouse server');
});

test.for([
  ['another product', 200, '<html>Welcome</html>', 'is no ClickHouse server'],
  ['another product, which has no such page', 404, 'not found', 'is no ClickHouse server'],
  ['an older server', 200, '{"version":"25.8.3.66"}\n', 'is of version 25.8.3.66; Muster needs 26.7 or newer'],
] as const)('openServer() refuses %s', async ([, status, body, said]) => {
  const other = createHttpServer((_request, response) => response.writeHead(status).end(body));
  const address = { origin: await listen(other), user: 'u', password: 'p', database: 'd' };
  await expect(openServer(address)).rejects.toThrow(said);
  other.close();
});

test(
  'a block that is inserted twice is there twice, and nothing is gathered to be written later',
  { skip },
  async () => {
    await engine.command(
      'CREATE TABLE remembering (a UInt32) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100',
    );
    for (let i = 0; i < 2; i += 1) {
      await engine.insert('remembering', 1, [{ name: 'a', type: 'UInt32', values: [7] }]);
      expect(await engine.query('SELECT count() AS n FROM remembering')).toEqual([{ n: i + 1 }]);
    }
  },
);
