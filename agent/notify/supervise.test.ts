import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { expect, test } from 'vitest';

import { openReceiver } from '../testing/datagrams.ts';

/** The agent as a service manager starts it. Nobody listens at the collector's address. */
function startService(state: string, env: Readonly<Record<string, string>>) {
  const argv = [
    join(import.meta.dirname, '../main.ts'),
    '--state',
    state,
    '--interval',
    '1s',
    '--url',
    'http://127.0.0.1:9',
  ];
  const child = spawn(process.execPath, argv, {
    env: { PATH: process.env['PATH'] ?? '', MUSTER_TOKEN: 'enrolment', MUSTER_NAME: 'web\n\u202E1', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return { child, log: text(child.stderr), exited: once(child, 'close') };
}

test('a supervised agent is ready while its collector is away, gives signs of life, and says that it stops', async () => {
  const state = mkdtempSync(join(tmpdir(), 'muster-agent-'));
  const receiver = openReceiver('path');
  const { child, exited } = startService(state, { NOTIFY_SOCKET: receiver.path, WATCHDOG_USEC: '400000' });
  await expect.poll(receiver.received, { timeout: 20_000 }).toContain('READY=1');
  const before = receiver.received().length;
  await expect.poll(() => receiver.received().slice(before), { timeout: 20_000 }).toContain('WATCHDOG=1');
  expect(receiver.received()[0]).toBe(
    'WATCHDOG=1\nSTATUS=web\u{FFFD}\u{FFFD}1 to http://127.0.0.1:9; nothing delivered yet',
  );
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  expect(receiver.received().at(-1)).toBe('STOPPING=1\nSTATUS=delivering what waits');
  receiver.close();
  rmSync(state, { recursive: true });
});

test('an agent whose service manager cannot be told samples all the same, and says what to do', async () => {
  const state = mkdtempSync(join(tmpdir(), 'muster-agent-'));
  const { child, log, exited } = startService(state, { NOTIFY_SOCKET: join(state, 'nobody') });
  const started = new Promise((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('enroll.waiting')) resolve(null);
    });
  });
  await started;
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  expect(await log).toMatch(/"event":"notify.failed","reason":"Cannot connect to .*errno 2","next":".*no-notify\.conf/);
  rmSync(state, { recursive: true });
});
