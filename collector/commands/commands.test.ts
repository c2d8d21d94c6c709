import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { isRecord } from '@muster/proto/record';

import { encodeCpu, openTestCollector, type TestCollector } from '../test-collector.ts';

let collector: TestCollector;
/** Where nobody listens. */
let closedUrl: string;

beforeAll(async () => {
  collector = await openTestCollector();
  const { server, url } = await listen(() => undefined);
  server.close();
  closedUrl = url;
});

afterAll(() => collector.close());

async function listen(answer: RequestListener): Promise<{ server: Server; url: string }> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

/** `muster-collector …`, as a process of its own. */
function run(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../main.ts'), ...argv], { env });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  return new Promise((resolve) => {
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

/** Against the collector of this test. */
const askTokens = (...argv: readonly string[]): Promise<Ended> =>
  run(['token', ...argv, '--url', collector.origin, '--data', collector.data]);

async function readRows(list: 'enrolment' | 'hosts'): Promise<readonly Record<string, unknown>[]> {
  const { out } = await askTokens('list', '--json');
  const reply: unknown = JSON.parse(out);
  return isRecord(reply) && Array.isArray(reply[list]) ? reply[list] : [];
}

test('token create, list and revoke: a host joins with what was printed, and is shown the door', async () => {
  const created = await askTokens('create', '--hosts', '2', '--valid', '2h');
  expect([created.code, created.err]).toEqual([0, '']);
  const [, token = ''] = /^ {2}([\w-]{43})$/m.exec(created.out) ?? [];
  expect(created.out).toMatch(/^Enrolment token [0-9a-f]{12}: lets in 2 hosts, until \d{4}-\d\d-\d\d \d\d:\d\d UTC\./);
  expect(created.out).toContain(
    `  MUSTER_TOKEN=${token} node_modules/.bin/node agent/main.ts --url ${collector.origin}\n`,
  );
  const name = 'web \u001B[2J\u202E1';
  const joined = await fetch(`${collector.origin}/api/v1/enroll`, {
    method: 'POST',
    body: JSON.stringify({ token, name, machine: 'a'.repeat(64) }),
  });
  const reply: unknown = await joined.json();
  const hostToken = isRecord(reply) ? String(reply['token']) : '';
  expect((await collector.push(hostToken, encodeCpu(1, Date.now(), 0.5))).status).toBe(200);

  const listed = await askTokens('list');
  const [[enrolment], [host]] = [await readRows('enrolment'), await readRows('hosts')];
  expect(listed.code).toBe(0);
  expect(listed.out.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d UTC/g, '<time>').split('\n')).toEqual([
    'ENROLMENT TOKEN  STATE  HOSTS   CREATED               EXPIRES',
    `${String(enrolment?.['id'])}     open   1 of 2  <time>  <time>`,
    '',
    'HOST TOKEN    STATE  SINCE                 HOST      NAME',
    `${String(host?.['id'])}  live   <time>  web-2j-1  web \u{FFFD}[2J\u{FFFD}1`,
    '',
  ]);
  for (const secret of [token, hostToken, collector.key]) expect(listed.out).not.toContain(secret);

  const revoked = await askTokens('revoke', String(host?.['id']));
  expect([revoked.code, revoked.out]).toEqual([0, expect.stringContaining('of web-2j-1 is revoked')]);
  expect((await collector.push(hostToken, encodeCpu(2, Date.now(), 0.5))).status).toBe(401);
  expect(await askTokens('revoke', String(enrolment?.['id']).slice(0, 6), '--json')).toEqual({
    code: 0,
    out: `${JSON.stringify({ id: enrolment?.['id'], host: null }, null, 2)}\n`,
    err: '',
  });
  expect((await readRows('enrolment')).map(({ state }) => state)).toEqual(['revoked']);
});

test('token list of a collector without tokens says so, and takes the key from the environment', async () => {
  const { server, url: MUSTER_URL } = await listen((request, response) => {
    const isRight = request.headers.authorization === 'Bearer the-key';
    response.statusCode = isRight ? 200 : 500;
    response.end(JSON.stringify({ nowMs: 0, enrolment: [], hosts: [] }));
  });
  const keyFile = join(collector.data, 'key-elsewhere');
  await writeFile(keyFile, 'the-key\n');
  for (const env of [{ MUSTER_KEY: 'the-key' }, { MUSTER_KEY_FILE: keyFile }]) {
    const { code, out } = await run(['token', 'list'], { MUSTER_URL, ...env });
    expect([code, out.split('\n').filter((line) => line === 'none').length]).toEqual([0, 2]);
  }
  server.close();
});

test.for([
  // arguments, exit code, what is said
  [['token', 'create', '--url', '<closed>', '--key', 'k'], 1, [/does not answer: .*ECONNREFUSED.*--url/]],
  [['token', 'list', '--key', 'wrong'], 1, [/does not take this access key.*access-key/]],
  [['token', 'revoke', '0000', '--data', '<data>'], 1, [/There is no token 0000/]],
  [['token', 'create', '--data', '/nowhere'], 2, [/Cannot read the access key: ENOENT.*--data.*MUSTER_KEY_FILE/]],
  [['token', 'revoke', '--data', '<data>'], 2, [/Say which one: token revoke ID/]],
  [['token', 'revoke', 'web-1', '--hosts=2'], 2, [/Say which one/, /--hosts=2 is not an option/]],
  [['token'], 2, [/token needs a command: create, list or revoke/]],
  [['token', 'make'], 2, [/token knows no make/]],
  [
    ['token', 'create', '--hosts', '0', '--valid', '31d', '--url', 'muster', '--key', 'my secret'],
    2,
    [/--hosts must be .* 1 to 10000/, /--valid must be a time from 1m to 30d/, /--url must be/, /--key must be/],
  ],
  [['token', 'list', '--url', 'http://127.0.0.1.example', '--key', 'k'], 2, [/in clear to another machine; use https/]],
  [['token', 'list', '--url', 'http://muster.example', '--key', 'k'], 2, [/in clear to another machine; use https/]],
  [['samples'], 2, [/samples needs a command: drop/]],
  [['samples', 'drop', '--key', 'k'], 2, [/first to stay: samples drop --before 2026-10-01/]],
  [['samples', 'drop', '--before', '2026-02-30'], 2, [/--before must be a day such as/]],
  [['samples', 'drop', '--before', '2999-01-01', '--data', '<data>'], 1, [/Today and yesterday stay/]],
] as const)('%o ends with %i and says what to do', async ([argv, code, said]) => {
  const places: Readonly<Record<string, string>> = { '<data>': collector.data, '<closed>': closedUrl };
  const whole = argv.map((text) => places[text] ?? text);
  const ended = await run(whole, { MUSTER_URL: collector.origin });
  expect([ended.code, ended.out]).toEqual([code, '']);
  const lines = ended.err.trimEnd().split('\n');
  expect(lines).toEqual(said.map((pattern) => expect.stringMatching(pattern)));
  expect(ended.err).not.toMatch(/my secret|\bwrong\b/);
});

test('samples drop drops old days, and says which', async () => {
  const { token } = await collector.enroll('old-1', 'b'.repeat(64));
  const dayMs = 86_400_000;
  const oldMs = Math.floor(Date.now() / dayMs) * dayMs - 3 * dayMs;
  const nameDay = (atMs: number): string => new Date(atMs).toISOString().slice(0, 10);
  expect((await collector.push(token, encodeCpu(1, oldMs, 0.5))).status).toBe(200);
  const drop = (before: number, ...more: readonly string[]): Promise<Ended> =>
    run(['samples', 'drop', '--before', nameDay(before), '--url', collector.origin, '--data', collector.data, ...more]);
  const none = 'Nothing was dropped: there are no samples of days before it.\n';
  expect(await drop(oldMs)).toEqual({ code: 0, out: none, err: '' });
  expect(await drop(oldMs + dayMs)).toEqual({ code: 0, out: `Dropped 1 sample of ${nameDay(oldMs)}.\n`, err: '' });
  const again = await drop(oldMs + dayMs, '--json');
  expect(JSON.parse(again.out)).toEqual({ days: [], rows: 0 });
});

test('--help of the collector names the commands, and their own the options', async () => {
  const token = await run(['token', '--help']);
  expect([token.code, token.out]).toEqual([
    0,
    expect.stringMatching(/token create.*--hosts N.*--valid TIME.*MUSTER_KEY_FILE/s),
  ]);
  const samples = await run(['samples', '--help']);
  expect([samples.code, samples.out]).toEqual([0, expect.stringMatching(/samples drop.*--before DATE/s)]);
  const whole = await run(['--help']);
  expect([whole.code, whole.out]).toEqual([0, expect.stringMatching(/token create\|list\|revoke.*samples drop/s)]);
});
