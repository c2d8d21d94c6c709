import { expect, test } from 'vitest';

import { openReceiver } from '../testing/datagrams.ts';
import { connectDatagrams } from './datagram.ts';

test.for(['path', 'abstract'] as const)(
  'connectDatagrams() sends each text as one datagram, to a socket at %s',
  (kind) => {
    const receiver = openReceiver(kind);
    const { send, close } = connectDatagrams(receiver.path, []);
    send('READY=1\nSTATUS=at wörk');
    send('WATCHDOG=1');
    expect(receiver.received()).toEqual(['READY=1\nSTATUS=at wörk', 'WATCHDOG=1']);
    close();
    receiver.close();
  },
);

test('connectDatagrams() says when nobody listens any more, and does not wait for one who does not read', () => {
  const receiver = openReceiver('abstract');
  const { send, close } = connectDatagrams(receiver.path, []);
  expect(() => {
    for (;;) send('WATCHDOG=1');
  }).toThrow('EAGAIN');
  receiver.close();
  expect(() => send('WATCHDOG=1')).toThrow('ECONNREFUSED');
  close();
});

test.for([
  ['/nowhere/at-all', 'Cannot connect to /nowhere/at-all: errno 2'],
  ['relative', 'it must be a path or @name'],
  ['@', 'it must be a path or @name'],
  [`/${'x'.repeat(107)}`, 'it must be a path or @name of 107 bytes at most'],
] as const)('connectDatagrams() of %s: %s', ([path, message]) => {
  expect(() => connectDatagrams(path, [])).toThrow(message);
});
