import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';

import { expect, test } from 'vitest';

import { makeEndUnread, UNREAD_MAX } from './unread.ts';

test('makeEndUnread() lets a limited number send on, and ends those that do not come to an end', async () => {
  const server = createServer((_request, response) => response.writeHead(401).end());
  server.on('request', makeEndUnread());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets = Array.from({ length: UNREAD_MAX + 100 }, () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc');
    return { socket, answered: once(socket, 'data'), closed: once(socket, 'close') };
  });
  const answers = await Promise.all(sockets.map(({ answered }) => answered));
  expect(answers.every(([chunk]) => String(chunk).startsWith('HTTP/1.1 401'))).toBe(true);
  const open = await new Promise<number>((resolve) => {
    server.getConnections((_, count) => resolve(count));
  });
  expect(open).toBeLessThanOrEqual(UNREAD_MAX);
  await Promise.all(sockets.map(({ closed }) => closed)); // by the server
  server.close();
  await once(server, 'close');
});

test('makeEndUnread() leaves a connection whose refused body has come whole', async () => {
  const server = createServer((_request, response) => response.writeHead(413).end());
  server.on('request', makeEndUnread());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const head = (length: number): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
  const warned: Error[] = [];
  const warn = (warning: Error): void => void warned.push(warning);
  process.on('warning', warn);
  for (let i = 0; i < 12; i += 1) {
    socket.write(head(4_000_000));
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1.1 413/);
    socket.write(Buffer.alloc(4_000_000));
  }
  socket.end();
  await once(socket, 'close');
  server.close();
  await once(server, 'close');
  process.off('warning', warn);
  expect(warned).toEqual([]); // of listeners that gather
});
