import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';

import { expect, test } from 'vitest';

import { makeDownloads } from './downloads.ts';

test('a download that does not end in its time is cut, and its connection is a stranger no more than before', async () => {
  const events: string[] = [];
  const lines: string[] = [];
  const downloads = makeDownloads({
    setAside: () => (events.push('aside'), () => void events.push('back')),
    onTurnedAway: (reason) => void lines.push(reason),
    now: Date.now,
    msMax: 20,
  });
  const server = createServer((incoming, outgoing) => {
    downloads.begin(() => createReadStream('/dev/zero'), incoming.socket)?.pipe(outgoing);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // of a TCP server that listens
  const socket = connect(port, '127.0.0.1').resume();
  socket.on('error', () => undefined);
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(socket, 'close');
  await expect.poll(() => events).toEqual(['aside', 'back']);
  expect(lines).toEqual(['slow-download']);
  server.close();
  await once(server, 'close');
});
