import { connect, createServer, type AddressInfo } from 'node:net';

import { expect, test } from 'vitest';

import { openCountingProxy } from './counting-proxy.ts';

test('every byte of both directions is counted, and bodies by their length, however they are cut', async () => {
  const answers = [
    'HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno',
    'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes',
  ];
  const left = [...answers];
  let heard = '';
  const server = createServer((socket) => {
    socket.on('data', (chunk) => {
      heard += chunk.toString();
      while (heard.includes('!')) {
        heard = heard.slice(heard.indexOf('!') + 1);
        socket.write(left.shift() ?? '');
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const proxy = await openCountingProxy((server.address() as AddressInfo).port, '/here');
  const client = connect(proxy.port, '127.0.0.1');
  let answered = '';
  client.on('data', (chunk) => (answered += chunk.toString()));
  const request = 'POST /here HTTP/1.1\r\nContent-Length: 9\r\n\r\n\r\n\r\n1234!';
  // The end of the head, and the body, come in pieces.
  for (const piece of [request.slice(0, 41), request.slice(41, 44), request.slice(44)]) client.write(piece);
  await expect.poll(() => answered).toBe(answers[0]);
  expect(proxy.firstAnswerMs()).toBe(null);
  client.write(request);
  await expect.poll(() => answered).toBe(answers.join(''));
  expect(proxy.firstAnswerMs()).not.toBe(null);
  expect(proxy.traffic()).toEqual({ bytes: 2 * request.length + answers.join('').length, bodyBytes: 18, requests: 2 });
  client.destroy();
  await proxy.close();
  server.close();
});
