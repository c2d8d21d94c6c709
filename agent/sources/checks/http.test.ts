import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';

import { anyTextLike } from '../../testing/any-text.ts';
import { makeRoot } from '../../testing/fixture.ts';
import { failureOf, look, makeHttpProbe } from '../../testing/probes.ts';
import { openService, type Service } from '../../testing/services.ts';
import type { HttpProbe } from './check.ts';
import { BODY_BYTES_MAX } from './body.ts';
import { formatStatus } from './http.ts';

const services: Pick<Service, 'close'>[] = [];
afterEach(async () => {
  for (const service of services.splice(0)) await service.close();
});

async function open(treat: (socket: Socket) => void): Promise<Service> {
  const service = await openService(treat);
  services.push(service);
  return service;
}

type Treat = (socket: Socket) => void;

/** A server that answers so, as soon as it was asked, and keeps the connection. */
function say(...pieces: readonly (string | Buffer)[]): (socket: Socket) => void {
  return (socket) => void socket.once('data', () => pieces.forEach((piece) => socket.write(piece)));
}

/** Writes one piece again and again, as long as it is read. */
function repeat(socket: Socket, piece: string | Buffer): void {
  const fill = () => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on('drain', fill);
  fill();
}

const OK = 'HTTP/1.1 200 OK\r\n';
const WAITS_IN_VAIN_MS = 300;

test.for([
  // what, how it answers, what is looked for, the failure
  ['well', say(`${OK}content-length: 2\r\n\r\nok`), {}, null],
  ['well, until the connection ends', (s: Socket) => void s.once('data', () => s.end(`${OK}\r\nok`)), {}, null],
  [
    'well after 100 and 103',
    say('HTTP/1.1 100 x\r\n\r\nHTTP/1.1 103 x\r\n\r\n', `${OK}content-length: 0\r\n\r\n`),
    {},
    null,
  ],
  ['500', say('HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n'), {}, 'status: status 500, not 2xx'],
  ['418 as wanted', say('HTTP/1.1 418 x\r\ncontent-length: 0\r\n\r\n'), { status: [[418, 418]] }, null],
  [
    'interim answers without end',
    (s: Socket) => void s.once('data', () => repeat(s, 'HTTP/1.1 100 x\r\n\r\n')),
    {},
    'protocol: the interim answers have no end',
  ],
  [
    '101, unasked',
    say('HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    {},
    'status: status 101, not 2xx',
  ],
  ['text', say(`${OK}content-length: 11\r\n\r\n{"ok":true}`), { body: '"ok":true' }, null],
  [
    'other text',
    say(`${OK}content-length: 12\r\n\r\n{"ok":false}`),
    { body: '"ok":true' },
    'body: the text is not in the body',
  ],
  ['a pattern', say(`${OK}content-length: 4\r\n\r\nv1.2`), { bodyPattern: /^v\d\.\d$/ }, null],
  [
    'no pattern',
    say(`${OK}content-length: 4\r\n\r\nv1.x`),
    { bodyPattern: /^v\d\.\d$/ },
    'body: body-pattern matches nothing in the body',
  ],
  [
    'a body made to hold up the pattern',
    say(`${OK}content-length: 5001\r\n\r\n${'a'.repeat(5000)}!`),
    { bodyPattern: /^(a+)+$/ },
    'body: body-pattern takes too long on this body',
  ],
  [
    'nothing, and the end',
    (s: Socket) => void s.once('data', () => s.end()),
    {},
    'closed: the other side cut the connection without an answer',
  ],
  [
    'a reset',
    (s: Socket) => void s.once('data', () => s.resetAndDestroy()),
    {},
    'closed: the other side cut the connection',
  ],
  ['garbage', say('\0\u0001garbage\r\n\r\n'), {}, 'protocol: what answers does not speak HTTP'],
  ['HTTP/0.9', say('<html>hello</html>'), {}, 'protocol: what answers does not speak HTTP'],
  [
    'another protocol, unasked',
    (s: Socket) => void s.write('SSH-2.0-OpenSSH_9.2\r\n'),
    {},
    'protocol: what answers does not speak HTTP',
  ],
  [
    'two lengths',
    say(`${OK}content-length: 1\r\ncontent-length: 2\r\n\r\nxx`),
    {},
    'protocol: what answers does not speak HTTP',
  ],
  [
    'headers without end',
    (s: Socket) => void s.once('data', () => (s.write(OK), repeat(s, `x-y: ${'z'.repeat(1000)}\r\n`))),
    {},
    'protocol: the headers of the answer have no end',
  ],
  [
    'half a body',
    (s: Socket) => void s.once('data', () => s.end(`${OK}content-length: 10\r\n\r\nhalf`)),
    {},
    'closed: the answer breaks off',
  ],
  [
    'half a body and a reset',
    (s: Socket) => void s.once('data', () => s.write(`${OK}content-length: 10\r\n\r\nhalf`, () => s.resetAndDestroy())),
    {},
    'closed: the answer breaks off',
  ],
  [
    'a body without end',
    (s: Socket) => void s.once('data', () => (s.write(`${OK}\r\n`), repeat(s, Buffer.alloc(65_536)))),
    {},
    null,
  ],
  [
    'a body without end, and not the text',
    (s: Socket) => void s.once('data', () => (s.write(`${OK}\r\n`), repeat(s, Buffer.alloc(65_536)))),
    { body: 'well' },
    'body: the text is not in the first MiB of the body',
  ],
  [
    'the text beyond the limit',
    (s: Socket) => void s.once('data', () => s.end(`${OK}\r\n${'x'.repeat(BODY_BYTES_MAX)}well`)),
    { body: 'well' },
    'body: the text is not in the first MiB of the body',
  ],
  [
    'a bomb',
    say(
      `${OK}content-encoding: gzip\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n`,
      ...chunk(gzipSync(Buffer.alloc(50 << 20))),
    ),
    { body: 'well' },
    'body: the body is compressed, although it was asked for as it is',
  ],
] as readonly (readonly [string, Treat, Partial<HttpProbe>, string | null])[])(
  'a server that answers with %s',
  async ([, treat, wanted, failure]) => {
    const service = await open(treat);
    const outcome = await look(makeHttpProbe(`http://127.0.0.1:${service.port}/`, wanted));
    expect(failureOf(outcome)).toBe(failure);
    await expect.poll(service.countConnections).toBe(0);
  },
);

function chunk(bytes: Buffer): readonly (string | Buffer)[] {
  return [`${bytes.length.toString(16)}\r\n`, bytes, '\r\n0\r\n\r\n'];
}

test.for([
  ['nothing', () => undefined, 'while the answer was waited for'],
  ['a header that does not go on', say(`${OK}x-y:`), 'while the answer was waited for'],
  ['a body that does not go on', say(`${OK}content-length: 9\r\n\r\nx`), 'while the answer was read'],
  [
    'a byte now and then',
    (s: Socket) => {
      const timer = setInterval(() => s.write('x'), 20);
      s.once('close', () => clearInterval(timer));
      say(`${OK}content-length: 9999\r\n\r\n`)(s);
    },
    'while the answer was read',
  ],
] as readonly (readonly [string, Treat, string])[])(
  'a server that sends %s is given up, and nothing is left of it',
  async ([, treat, doing]) => {
    const service = await open(treat);
    const outcome = await look(makeHttpProbe(`http://127.0.0.1:${service.port}/`), WAITS_IN_VAIN_MS);
    expect(failureOf(outcome)).toBe(`timeout: over 0.3 s ${doing}`);
    await expect.poll(service.countConnections).toBe(0);
  },
);

type Seen = { readonly url: string; readonly headers: Readonly<Record<string, unknown>> };

/** A web server that sends on to `location`, if any. */
async function openWeb(location: string | null) {
  const seen: Seen[] = [];
  const server = createServer(({ url = '', headers }, answer) => {
    seen.push({ url, headers });
    answer.writeHead(location === null ? 200 : 302, location === null ? {} : { location }).end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  services.push({ close: async () => void server.close() });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/start?q=1`, seen }; // it listens
}

test('a request says who asks, and asks for nothing compressed', async () => {
  const { url, seen } = await openWeb(null);
  const headers = [['Authorization', 'Bearer x']] as const;
  const outcome = await look(makeHttpProbe(url, { headers }));
  expect(outcome).toMatchObject({ failure: null, statusCode: 200, expiresMs: null });
  expect([...outcome.phasesMs.keys()]).toEqual(['dns', 'connect', 'first-byte', 'transfer']);
  expect(seen).toMatchObject([
    {
      url: '/start?q=1',
      headers: {
        authorization: 'Bearer x',
        'accept-encoding': 'identity',
        connection: 'close',
        'user-agent': 'Muster-Check/1',
      },
    },
  ]);
});

test('a redirect is followed only when that is wanted, and secrets do not follow it to another server', async () => {
  const end = await openWeb(null);
  const start = await openWeb(end.url);
  const headers = [['Authorization', 'Bearer x']] as const;
  expect(failureOf(await look(makeHttpProbe(start.url, { headers })))).toBe(
    'status: status 302, not 2xx ("follow: true" goes where it sends on)',
  );
  expect(failureOf(await look(makeHttpProbe(start.url, { headers, isFollowing: true })))).toBe(null);
  expect(start.seen.map((one) => one.headers['authorization'])).toEqual(['Bearer x', 'Bearer x']);
  expect(end.seen.map((one) => one.headers['authorization'])).toEqual([undefined]);
});

test('a redirect of HEAD is followed, and of POST nobody is told that it could be', async () => {
  const end = await openWeb(null);
  const start = await openWeb(end.url);
  expect(failureOf(await look(makeHttpProbe(start.url, { method: 'HEAD', isFollowing: true })))).toBe(null);
  expect(end.seen).toHaveLength(1);
  expect(failureOf(await look(makeHttpProbe(start.url, { method: 'POST' })))).toBe('status: status 302, not 2xx');
});

test.for([
  ['/start', 'redirect: the server sends on more than 5 times', 6],
  ['file:///etc/passwd', 'redirect: the server sends on, but not to an address of http or https', 1],
  ['', 'redirect: the server sends on, but not to an address of http or https', 1],
  ['http://[', 'redirect: the server sends on, but not to an address of http or https', 1],
] as const)('a server that sends on to "%s"', async ([location, failure, requests]) => {
  const { url, seen } = await openWeb(location);
  expect(failureOf(await look(makeHttpProbe(url, { isFollowing: true })))).toBe(failure);
  expect(seen).toHaveLength(requests);
});

test('headers of a file are read for each run, and no word of the file is told', async () => {
  const { url, seen } = await openWeb(null);
  const headerFile = join(makeRoot({}), 'headers');
  const ask = async () => failureOf(await look(makeHttpProbe(url, { headerFile })));
  expect(await ask()).toBe('setup: the header file cannot be read (ENOENT)');
  writeFileSync(headerFile, '# for the shop\n\nAuthorization: Bearer one\r\n');
  expect(await ask()).toBe(null);
  writeFileSync(headerFile, 'Authorization: Bearer two\n');
  expect(await ask()).toBe(null);
  for (const text of ['Authorization\n', 'content-length: 7\n', 'a: \u0001secret\n', 'x y: secret\n']) {
    writeFileSync(headerFile, `x: y\n${text}`);
    expect(await ask()).toBe('setup: line 2 of the header file is no "Name: value" of a request');
  }
  expect(seen.map(({ headers }) => headers['authorization'])).toEqual(['Bearer one', 'Bearer two']);
});

test('what is no file in the place of one is not waited for', async () => {
  const { url } = await openWeb(null);
  const headerFile = join(makeRoot({}), 'headers');
  execFileSync('mkfifo', [headerFile]);
  const ask = async () => failureOf(await look(makeHttpProbe(url, { headerFile })));
  expect(await ask()).toBe('setup: the header file cannot be read (it is no file)');
  rmSync(headerFile);
  writeFileSync(headerFile, '#'.repeat(300_000));
  expect(await ask()).toBe('setup: the header file cannot be read (it has 300000 bytes, more than 262144)');
});

test('whatever a server sends, the run ends, and its failure has a name', async () => {
  let answer = Buffer.alloc(0);
  const service = await open((socket) => void socket.once('data', () => socket.end(answer)));
  const like = anyTextLike(`${OK}transfer-encoding: chunked\r\nlocation: /x\r\n\r\n4\r\nwell\r\n0\r\n\r\n`);
  await fc.assert(
    fc.asyncProperty(fc.oneof(like, fc.string({ unit: 'binary' })), async (text) => {
      answer = Buffer.from(text);
      const probe = makeHttpProbe(`http://127.0.0.1:${service.port}/`, { body: 'well', isFollowing: true });
      const { failure } = await look(probe, 2_000);
      const known = /^(protocol|closed|status|body|redirect|timeout)$/;
      expect(failure?.type ?? 'body').toMatch(known);
    }),
    { numRuns: 100 },
  );
  await expect.poll(service.countConnections).toBe(0);
});

test.for([
  [[[200, 299]], '2xx'],
  [[[200, 200]], '200'],
  [
    [
      [200, 200],
      [300, 399],
    ],
    '200 or 3xx',
  ],
] as const)('formatStatus(%o) is %s', ([ranges, text]) => {
  expect(formatStatus(ranges)).toBe(text);
});
