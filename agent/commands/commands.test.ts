import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { INGEST_PATH } from '@muster/proto/push';
import { expect, test } from 'vitest';

import { lockState } from '../lock.ts';
import { openStandIn } from '../testing/collector.ts';
import { DEBIAN } from '../testing/fixture.ts';
import { CHECK_CONFIG } from './check-config.ts';
import type { Command } from './command.ts';
import { DOCTOR } from './doctor.ts';
import { STATUS } from './status.ts';
import { formatValue, SAMPLE } from './sample.ts';

/** Runs a command on the captured machine: its exit code, and what it prints. */
async function run(command: Command, argv: readonly string[], yaml = '') {
  const said = { code: 0, out: '', err: '' };
  said.code = await command.run({
    argv: ['--config', 'none', '--root', DEBIAN, ...argv],
    env: {},
    hostname: 'the-host',
    readFile: () => yaml,
    listFiles: () => [],
    write: (text) => (said.out += text),
    fail: (text) => (said.err += text),
  });
  return said;
}

test('sample --once prints what would be sent, with units, and why no more', async () => {
  const { code, out } = await run(SAMPLE, ['--once']);
  expect(code).toBe(0);
  expect(out).toMatch(/^system\.memory\.limit +23\.541 GiB$/m);
  expect(out).toMatch(/^system\.uptime +1736\.59 s$/m);
  expect(out).toMatch(/^system\.disk\.operations\{disk\.io\.direction=read,system\.device=vda\} +\d+$/m);
  expect(out).toMatch(/^# users: nobody keeps sessions here/m);
});

test.for([
  [0.12345, '1', '12.345 %'],
  [0, 'By', '0 B'],
  [1023, 'By', '1023 B'],
  [1536, 'By', '1.5 KiB'],
  [2 ** 60, 'By', '1024 PiB'],
  [41.5, 's', '41.5 s'],
  [7, '{cpu}', '7'],
  [1.25, '', '1.25'],
] as const)('formatValue(%d, %s) is %s', ([value, unit, text]) => {
  expect(formatValue(value, unit)).toBe(text);
});

test('sample without --once says what it needs; wrong options and help are as everywhere', async () => {
  expect(await run(SAMPLE, [])).toMatchObject({ code: 2, err: expect.stringContaining('needs --once') });
  expect(await run(SAMPLE, ['--once', '--frob'])).toMatchObject({ code: 2, err: expect.stringContaining('--frob') });
  for (const command of [SAMPLE, DOCTOR, STATUS, CHECK_CONFIG]) {
    expect(await run(command, ['--help'])).toMatchObject({ code: 0, out: expect.stringContaining('--interval') });
  }
});

test('check-config says what follows from a right configuration', async () => {
  const { code, out } = await run(CHECK_CONFIG, ['--labels', 'role=web', '--interval', '7s']);
  expect(code).toBe(0);
  expect(out).toMatch(/labels +role=web\n +interval +7 s/);
});

test('doctor says what is seen, who we are, and whether the collector answers', async () => {
  const collector = await openStandIn();
  collector.expect({ kind: 'answer', status: 200 }, { kind: 'answer', status: 415 });
  const state = mkdtempSync(join(tmpdir(), 'muster-doctor-'));
  writeFileSync(join(state, 'identity.json'), '{"host":"web-1","token":"secret"}');
  const right = await run(DOCTOR, ['--url', collector.url, '--state', state]);
  expect(right.out).toContain(
    `  ok  collector: ${collector.url} answers\n  ok  identity: this host is web-1, and the collector takes what it sends\n`,
  );
  expect(collector.requests[1]).toMatchObject({ path: INGEST_PATH, authorization: 'Bearer secret' });
  collector.expect({ kind: 'answer', status: 200 }, { kind: 'answer', status: 401 });
  const revoked = await run(DOCTOR, ['--url', collector.url, '--state', state]);
  expect(revoked.out).toContain('FAIL  identity: this host is web-1, but: 401: as the test wants it\n');
  await collector.close();
  expect(right.out).toMatch(/^ {2}ok {2}memory: memory and swap: \d+ series, .* ms of CPU$/m);
  expect(right.out).toMatch(/^ {2}-- {2}users: .*\n {6}nobody keeps sessions here/m);
  expect(right.out).not.toContain('secret');

  const wrong = await run(DOCTOR, ['--url', collector.url, '--state', join(state, 'none')]);
  expect(wrong.code).toBe(1);
  expect(wrong.out).toMatch(/^FAIL {2}collector: .* does not answer: .*ECONNREFUSED/m);
  expect(wrong.out).toMatch(/^FAIL {2}identity: this host has not joined/m);

  const root = mkdtempSync(join(tmpdir(), 'muster-doctor-'));
  mkdirSync(join(root, 'etc/muster'), { recursive: true });
  const token = join(root, 'etc/muster/token');
  writeFileSync(token, 'secret\n');
  const awaited = await run(DOCTOR, ['--url', collector.url, '--state', join(state, 'none'), '--root', root]);
  expect(awaited.out).toMatch(/^ {2}-- {2}identity: this host has not joined/m);
  expect(awaited.out).toContain(`the service will with the enrolment token in ${token}\n`);
});

test('status is right when the agent runs and the collector takes what it sends, and not before', async () => {
  const collector = await openStandIn();
  const state = mkdtempSync(join(tmpdir(), 'muster-status-'));
  const ask = () => run(STATUS, ['--url', collector.url, '--state', state]);
  collector.expect({ kind: 'answer', status: 200 });
  const none = await ask();
  expect([none.code, none.out]).toEqual([
    1,
    expect.stringMatching(/^FAIL {2}agent: none runs with .*\nFAIL {2}identity/ms),
  ]);
  const lock = lockState(state);
  writeFileSync(join(state, 'identity.json'), '{"host":"web-1","token":"secret"}');
  collector.expect({ kind: 'answer', status: 200 }, { kind: 'answer', status: 415 });
  const right = await ask();
  expect([right.code, right.out]).toEqual([
    0,
    expect.stringContaining(`  ok  agent: it runs (process ${process.pid})\n`),
  ]);
  collector.expect({ kind: 'answer', status: 200 }, { kind: 'answer', status: 403 });
  const apart = await ask();
  expect([apart.code, apart.out]).toEqual([1, expect.stringContaining('FAIL  identity: this host is web-1, but: 403')]);
  await collector.close();
  expect((await ask()).code).toBe(1);
  lock.release();
});

test('beside an agent that runs, what it listens on is not opened again, and is no fault', async () => {
  const state = mkdtempSync(join(tmpdir(), 'muster-doctor-'));
  const lock = lockState(state);
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const yaml = `sources: { statsd: { port: ${socket.address().port} } }\nstate: ${state}\n`;
  const read = (command: Command, argv: readonly string[]) => run(command, ['--config', '/agent.yaml', ...argv], yaml);
  const beside = await read(SAMPLE, ['--once']);
  expect(beside.out).toContain(`# statsd: the agent that runs (process ${process.pid}) listens there\n`);
  lock.release();
  const alone = await read(SAMPLE, ['--once']);
  expect(alone.out).toMatch(/^# statsd: .* is taken by /m);
  socket.close();
});
