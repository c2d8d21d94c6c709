import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { openArchive } from '@muster/collector/store/archive';
import { openCompaction } from '@muster/collector/store/compaction';
import { openEmbedded } from '@muster/collector/store/embedded';
import { openVersions } from '@muster/collector/store/rollup';
import { openServer } from '@muster/collector/store/server';

import { startTestServer, type TestServer } from '../collector/test-store.ts';
import { auditBooks, makeBookkeepingHost } from './bookkeeping-host.ts';
import { findServerFault } from './clickhouse-server/server.ts';
import { enrolHost } from './enrol.ts';
import { startCollector } from './start-collector.ts';

const options = { skip: findServerFault() !== null, timeout: 120_000 };
let directory: string;
let data: string;
let server: TestServer;

beforeAll(async () => {
  if (options.skip) return;
  directory = await mkdtemp(join(tmpdir(), 'muster-migrate-'));
  data = join(directory, 'data');
  server = await startTestServer(join(directory, 'clickhouse'));
});

afterAll(async () => {
  if (options.skip) return;
  await server.stop();
  await rm(directory, { recursive: true });
});

/** Runs the program, and kills it when it has said so many lines about partitions. */
async function run(args: readonly string[] = [], linesMax = Infinity) {
  const main = join(import.meta.dirname, 'migrate-store.ts');
  const child = spawn(process.execPath, [main, '--from', data, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, MUSTER_STORE_URL: server.url },
  });
  const exited = once(child, 'close');
  let said = '';
  const count = (): number => said.split(' s left').length - 1;
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
    if (count() >= linesMax) child.kill('SIGKILL');
  });
  const [code] = (await exited) as [number | null];
  return { code, said, partitions: count() };
}

test(
  'a store is copied whole in spite of kills, and its collector goes on with it on the server',
  options,
  async () => {
    const first = await startCollector({ data, onLine: () => undefined });
    const { host, token } = await enrolHost(first, 'a');
    const book = makeBookkeepingHost(first.origin, host, token);
    const startMs = Math.floor(Date.now() / 60_000) * 60_000 - 26 * 3_600_000;
    for (let hour = 0; hour < 24; hour += 1) expect(await book.push(startMs + hour * 3_600_000, 100)).toBe(200);

    const early = await run();
    expect(early.code).toBe(1);
    expect(early.said).toContain(`process ${first.pid} holds it`);
    expect(await first.stop()).toBe(0);

    const embedded = await openEmbedded(data);
    await openCompaction(embedded, await openVersions(embedded, Date.now));
    const { moveNext } = await openArchive(embedded, { now: () => startMs + 12 * 3_600_000 });
    while (await moveNext());
    expect(await embedded.query('SELECT count() > 0 AS isThere FROM archive')).toEqual([{ isThere: 1 }]);
    await embedded.close();

    const engine = await openServer(server.address);
    let kills = 0;
    let whole = await run([], 1);
    for (let linesMax = 3; whole.code === null; linesMax += 6) {
      kills += 1;
      // What a kill may leave of a partition, and a little more than that.
      if (linesMax > 3) await engine.command("INSERT INTO hosts SELECT * REPLACE ('x' AS host) FROM hosts LIMIT 1");
      const half = await startCollector({ data, storeUrl: server.url, onLine: () => undefined }).catch(String);
      expect(half).toContain('only a part of another one has been copied');
      whole = await run([], linesMax);
    }
    expect(kills).toBeGreaterThan(2);
    expect(whole).toMatchObject({ code: 0, said: expect.stringContaining('counted and compared by its hash') });

    const again = await run();
    expect(again.code).toBe(1);
    expect(again.said).toContain('has been copied to that database already');
    expect(again.said).not.toContain(server.address.password);

    const second = await startCollector({ data, storeUrl: server.url, onLine: () => undefined });
    expect(second.key).toBe(first.key);
    const moved = { ...makeBookkeepingHost(second.origin, host, token) };
    expect(await moved.push(startMs + 25 * 3_600_000, 100)).toBe(200);
    expect(await second.stop()).toBe(0);

    for (const tickMs of moved.sent) book.sent.add(tickMs);
    for (const tickMs of moved.acknowledged) book.acknowledged.add(tickMs);
    const audit = await auditBooks(engine, [book], startMs);
    const rolled = await engine.query('SELECT uniqExact(host) AS hosts, count() > 24 AS isThere FROM rollup_5m FINAL');
    expect(await engine.query('SELECT name FROM hosts FINAL')).toEqual([{ name: 'a' }]);
    await engine.close();
    expect(audit).toEqual({ acknowledged: 4 * 25 * 100, lost: 0, duplicated: 0, altered: 0 });
    expect(rolled).toEqual([{ hosts: 1, isThere: 1 }]);

    const another = await openServer(server.address);
    await another.command('CREATE TABLE notes (text String) ENGINE = MergeTree ORDER BY tuple()');
    await another.command("INSERT INTO notes SELECT 'of somebody else'");
    const over = await run(['--overwrite', 'true']);
    expect(over.code).toBe(0);
    expect(await another.query('SELECT text FROM notes')).toEqual([{ text: 'of somebody else' }]);
    await another.close();
    expect(over.partitions).toBe(whole.partitions);
  },
);

test('a database with other data is refused, and left as it is', options, async () => {
  const address = { ...server.address, database: 'other' };
  const engine = await openServer(address);
  const third = await startCollector({
    data: join(directory, 'third'),
    storeUrl: server.url.replace(/fleet$/, 'other'),
    onLine: () => undefined,
  });
  await enrolHost(third, 'b');
  expect(await third.stop()).toBe(0);
  const refused = await run(['--to', server.url.replace(/fleet$/, 'other')]);
  expect(refused.code).toBe(1);
  expect(refused.said).toContain('holds other data');
  expect(await engine.query('SELECT name FROM hosts FINAL')).toEqual([{ name: 'b' }]);
  await engine.close();
});
