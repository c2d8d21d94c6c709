import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { openStandInManager } from '../../testing/systemd.ts';
import { openBus, parseGreeting, SHUT_OUT } from './dbus.ts';
import type { Call } from './dbus-wire.ts';

const DAEMON = '/usr/bin/dbus-daemon';
const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function makeSocketPath(): string {
  const directory = mkdtempSync(join(tmpdir(), 'muster-bus-'));
  directories.push(directory);
  return join(directory, 'bus');
}

const BUS = { destination: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus', texts: [] } as const;
const LIST_NAMES: Call = { ...BUS, interface: 'org.freedesktop.DBus', member: 'ListNames' };

/** Without dbus-daemon (Debian: dbus) there is nothing to talk to. */
test.skipIf(!existsSync(DAEMON))(
  'a real bus lets us in, answers several calls at once, and says what is wrong',
  async () => {
    const path = makeSocketPath();
    const argv = ['--session', '--nofork', '--nopidfile', `--address=unix:path=${path}`, '--print-address'];
    const daemon = spawn(DAEMON, argv, { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(daemon.stdout, 'data');
    try {
      const bus = await openBus(path, 5_000);
      if (!bus.ok) throw new Error(bus.error);
      const answers = await Promise.all([
        bus.value.call(LIST_NAMES),
        bus.value.call({ ...LIST_NAMES, member: 'GetConnectionUnixUser', texts: ['org.freedesktop.DBus'] }),
        bus.value.call({ ...LIST_NAMES, destination: 'org.freedesktop.systemd1' }),
        bus.value.call({ ...LIST_NAMES, member: 'None' }),
      ]);
      expect(answers).toEqual([
        { ok: true, value: [['org.freedesktop.DBus', ':1.0']] },
        { ok: true, value: [process.getuid?.()] },
        { ok: false, error: 'org.freedesktop.DBus.Error.NameHasNoOwner' },
        { ok: false, error: 'org.freedesktop.DBus.Error.UnknownMethod' },
      ]);
      const last = bus.value.call(LIST_NAMES);
      daemon.kill('SIGKILL');
      await last;
      await expect.poll(bus.value.isOpen).toBe(false);
      expect((await bus.value.call(LIST_NAMES)).ok).toBe(false);
    } finally {
      daemon.kill('SIGKILL');
    }
  },
);

test('openBus() says that there is no bus', async () => {
  expect(await openBus(makeSocketPath(), 1_000)).toMatchObject({ ok: false, error: expect.stringContaining('ENOENT') });
});

test.for([
  ['is silent', '', 'the bus does not answer'],
  ['refuses us', 'REJECTED ANONYMOUS\r\n', 'the bus does not let us in'],
  ['is no bus', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'the bus does not let us in'],
  ['hangs up after a greeting', 'DATA\r\nOK abc\r\nend', SHUT_OUT],
  ['hangs up at once', 'end', SHUT_OUT],
  [
    'sends garbage',
    `DATA\r\nOK abc\r\n${'garbage '.repeat(9)}`,
    'the bus does not speak little-endian D-Bus, version 1',
  ],
] as const)('openBus() gives up on one that %s', async ([, bytes, error]) => {
  const path = makeSocketPath();
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', () => (bytes.endsWith('end') ? socket.end(bytes.slice(0, -3)) : socket.write(bytes)));
  });
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  expect(await openBus(path, 300)).toEqual({ ok: false, error });
  server.close();
});

test('openBus() says the same of a bus that hangs up, however the end shows', async () => {
  const path = makeSocketPath();
  // What we have sent is read or not: the connection ends, or is reset.
  let isRead = false;
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => undefined);
    isRead = !isRead;
    if (isRead) socket.once('data', () => socket.destroy()).resume();
    else socket.destroy();
  });
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  for (let i = 0; i < 20; i += 1) expect(await openBus(path, 5_000)).toEqual({ ok: false, error: SHUT_OUT });
  server.close();
});

test('a bus that stops answering ends all calls under way', async () => {
  const path = makeSocketPath();
  const manager = await openStandInManager(path);
  const bus = await openBus(path, 300);
  if (!bus.ok) throw new Error(bus.error);
  manager.spoil(null);
  const answers = await Promise.all([bus.value.call(LIST_NAMES), bus.value.call(LIST_NAMES)]);
  expect(answers).toEqual(Array.from({ length: 2 }, () => ({ ok: false, error: 'the bus does not answer' })));
  expect(bus.value.isOpen()).toBe(false);
  await manager.close();
});

test.for([
  ['DATA\r\nOK abc\r\n', 14],
  ['OK abc\r\nmessage', 8],
  ['DATA \r\nOK abc\r\n', 15],
  ['', null],
  ['DAT', null],
  ['DATA\r\n', null],
  ['DATA\r\nOK ab', null],
  ['DATA\r\nOK abc\r', null],
] as const)('parseGreeting(%o) ends at %s', ([text, end]) => {
  expect(parseGreeting(Buffer.from(text))).toEqual({ ok: true, value: end });
});

test.for(['REJECTED\r\n', 'DATA\r\nERROR\r\n', 'OKAY', `OK ${'a'.repeat(9_000)}`])(
  'parseGreeting(%o) fails',
  (text) => {
    expect(parseGreeting(Buffer.from(text)).ok).toBe(false);
  },
);
