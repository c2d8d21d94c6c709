import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { isRecord } from '@muster/proto/record';

import { startTestServer } from '../collector/test-store.ts';
import { makeBookkeepingHost } from './bookkeeping-host.ts';
import { findServerFault } from './clickhouse-server/server.ts';
import { enrolHost } from './enrol.ts';
import { startCollector } from './start-collector.ts';

const DAY_MS = 86_400_000;
const YESTERDAY_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS - DAY_MS;
const YESTERDAY = new Date(YESTERDAY_MS).toISOString().slice(0, 10);

let data: string;

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'muster-store-job-'));
});

afterAll(() => rm(data, { recursive: true }));

type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

function start(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const [name = '', ...rest] = argv;
  const child = spawn(process.execPath, [join(import.meta.dirname, `${name}.ts`), ...rest], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = once(child, 'close').then(([code]: unknown[]) => ({ code: code as number | null, out, err }));
  return { child, ended };
}

const run = (...argv: readonly string[]): Promise<Ended> => start(argv).ended;

async function readReport(ended: Promise<Ended>): Promise<Record<string, unknown>> {
  const { code, out, err } = await ended;
  expect([code, err]).toEqual([0, expect.not.stringContaining('ERROR')]);
  const report: unknown = JSON.parse(out);
  return isRecord(report) ? report : {};
}

/** A report without what differs from one moment to the next. */
function strip({ tables, tiers, applied, fullDays }: Record<string, unknown>) {
  return { tables, tiers, applied, fullDays };
}

test('a job gives the same report from the collector that holds the directory, and where none does', async () => {
  const collector = await startCollector({ data });
  const { host, token } = await enrolHost(collector, 'a');
  const books = makeBookkeepingHost(collector.origin, host, token);
  expect(await books.push(YESTERDAY_MS + 3_600_000, 50)).not.toBe(null);
  const days = ['--from', YESTERDAY, '--to', YESTERDAY, '--data', data, '--url', collector.origin];
  const sum = async (...more: readonly string[]): Promise<unknown> =>
    (await readReport(run('aggregate', ...days, '--json', '--force', ...more)))['tiers'];
  // Until it is compacted there is nothing to compute from.
  await expect
    .poll(() => sum('--period', '1h'), { timeout: 60_000, interval: 500 })
    .toEqual([{ tier: '1h', periods: 1, hosts: 1, series: expect.any(Number), rows: expect.any(Number), left: 0 }]);
  const asked = [strip(await readReport(run('aggregate', ...days, '--json', '--force')))];
  const clean = await run('cleanup', '--dry-run', '--data', data, '--url', collector.origin);
  expect([clean.code, clean.out]).toEqual([
    0,
    expect.stringMatching(/^TIER.*WOULD GO.*\nraw +30 days .* 0 partitions/),
  ]);
  collector.terminate();
  expect(await collector.exited).toBe(0);
  asked.push(strip(await readReport(run('aggregate', ...days, '--json', '--force'))));
  expect(asked[1]).toEqual(asked[0]);
  const applied = await readReport(run('cleanup', '--apply', '--optimize', '--json', '--data', data));
  expect(applied).toMatchObject({ applied: true, optimized: { skipped: [] } });
}, 120_000);

test.for([
  [['cleanup'], 2, /--dry-run.*--apply/],
  [['cleanup', '--dry-run', '--apply'], 2, /--dry-run.*--apply/],
  [['cleanup', '--dry-run', '--optimize'], 2, /say --apply with it/],
  [['cleanup', '--dry-run', '--data', '/nowhere'], 1, /There is no store in \/nowhere; --data/],
  [['aggregate'], 2, /Say which days: --from/],
  [['aggregate', '--from', '2026-11-03', '--to', '2026-11-01'], 2, /must not be a day before/],
  [['aggregate', '--from', '2026-11-01', '--to', '2026-11-31'], 2, /--to must be a day such as/],
  [['aggregate', '--from', '2026-11-01', '--to', '2026-11-02', '--period', '5m'], 2, /--period must be 1h or 1d/],
  [['cleanup', '--dry-run', '--key', 'k', '--url', 'http://127.0.0.1:1'], 1, /does not answer.*--url/],
] as const)('%o ends with %i and says what to do', async ([argv, code, said]) => {
  expect(await run(...argv)).toEqual({ code, out: '', err: expect.stringMatching(said) });
});

test('Ctrl-C cancels: the collector is left, and the program says so', async () => {
  const answers: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    answers.push(response);
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    response.write('{"progress":{"done":1,"total":3,"what":"the first"}}\n');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { child, ended } = start(['cleanup', '--apply', '--key', 'k', '--url', url]);
  let err = '';
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
  await expect.poll(() => err, { timeout: 20_000 }).toBe('1 of 3: the first\n');
  const left = once(answers[0] ?? server, 'close');
  child.kill('SIGINT');
  expect(await ended).toEqual({
    code: 1,
    out: '',
    err: '1 of 3: the first\nCancelled: asked to end by SIGINT\n',
  });
  await left;
  server.close();
});

test.for([
  ['{"progress":{"done":1,"total":3,"what":"x"}}\n', /went away before the job had ended/],
  ['<html>\n', /is no Muster collector/],
  ['{"error":{"code":"failed","message":"Cannot do it"}}\n', /^Cannot do it\n$/m],
] as const)('an answer that ends with %j ends with 1 and says why', async ([text, said]) => {
  const server = createServer((_request, response) => response.end(text));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { code, err } = await run('cleanup', '--apply', '--key', 'k', '--url', url);
  expect([code, err]).toEqual([1, expect.stringMatching(said)]);
  server.close();
});

test(
  'a store on a server is worked on there, unless a collector has it',
  { skip: findServerFault() !== null },
  async () => {
    const server = await startTestServer(join(data, 'server'));
    const env = { MUSTER_STORE_URL: server.url };
    const collector = await startCollector({
      data: join(data, 'first'),
      storeUrl: server.url,
      onLine: () => undefined,
    });
    const own = await start(['cleanup', '--dry-run', '--data', join(data, 'first'), '--url', collector.origin], env)
      .ended;
    expect(own).toMatchObject({ code: 0 });
    const other = await start(['cleanup', '--dry-run', '--data', join(data, 'second')], env).ended;
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining('A collector has that database: ask it') });
    expect(await collector.stop()).toBe(0);
    const alone = await start(['cleanup', '--dry-run', '--data', join(data, 'second')], env).ended;
    expect(alone).toMatchObject({ code: 0, out: expect.stringContaining('raw') });
    await server.stop();
  },
);
