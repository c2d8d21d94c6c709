import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, test } from 'vitest';

import { openHttpClient, readBody } from './http-client.ts';

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0).toReversed()) close();
});

async function start(answer: RequestListener) {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // of a TCP server
  const client = openHttpClient({ url: `http://127.0.0.1:${port}` }, { keepMs: 70_000, connections: 2 });
  opened.push(() => server.close(), client.close);
  return async (signal = new AbortController().signal) => {
    const request = { method: 'POST', path: '/x', headers: { a: 'b' }, body: 'hello', signal } as const;
    const { status, body } = await client.request(request);
    return `${status} ${(await readBody(body, 10))?.toString() ?? 'too long'}`;
  };
}

test('a client keeps its connection, and says little', async () => {
  const heads: (readonly string[])[] = [];
  const ports = new Set<number | undefined>();
  const ask = await start((request, response) => {
    heads.push(request.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()));
    ports.add(request.socket.remotePort);
    request.resume().on('end', () => response.end('yes'));
  });
  expect(await ask()).toBe('200 yes');
  expect(await ask()).toBe('200 yes');
  expect(ports.size).toBe(1);
  expect(heads[0]).toEqual(['a', 'host', 'content-length']);
});

test('a client asks twice at a time at most; the others wait', async () => {
  const waiting: (() => void)[] = [];
  const ask = await start((_request, response) => waiting.push(() => response.end('yes')));
  const all = Promise.all([ask(), ask(), ask()]);
  await expect.poll(() => waiting.length).toBe(2);
  for (const release of waiting.splice(0)) release();
  await expect.poll(() => waiting.length).toBe(1);
  for (const release of waiting.splice(0)) release();
  expect(await all).toEqual(['200 yes', '200 yes', '200 yes']);
});

test('a redirection is an answer, and one that is too long is not read', async () => {
  const ask = await start((_request, response) => {
    response.writeHead(302, { location: '/elsewhere' });
    response.end('x'.repeat(100_000));
  });
  expect(await ask()).toBe('302 too long');
});

test('what is given up ends, also in the middle of an answer', async () => {
  const controller = new AbortController();
  const ask = await start((_request, response) => {
    response.write('a part');
    setImmediate(() => controller.abort());
  });
  await expect(ask(controller.signal)).rejects.toThrow(/abort/);
});
