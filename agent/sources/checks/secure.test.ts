import { execFileSync } from 'node:child_process';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { makeRoot } from '../../testing/fixture.ts';
import { failureOf, look, makeHttpProbe, makeTlsProbe, TRUSTING } from '../../testing/probes.ts';
import { CERTIFICATES, openService, type Service } from '../../testing/services.ts';
import type { TlsSettings } from './check.ts';

const services: Service[] = [];
afterEach(async () => {
  for (const service of services.splice(0)) await service.close();
});

async function open(certificate: string | undefined, treat: (socket: Socket) => void = () => undefined) {
  const service = await openService(treat, certificate);
  services.push(service);
  return service;
}

const WELL = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const IN_2110 = Date.UTC(2110, 0, 1);

const CASES: readonly (readonly [
  certificate: string,
  settings: Partial<TlsSettings>,
  words: string | null,
  expiresMs: number,
])[] = [
  ['valid', {}, null, IN_2110],
  ['valid', { serverName: 'localhost' }, null, IN_2110],
  ['valid', { serverName: null }, null, IN_2110],
  ['chain', {}, null, Date.UTC(2105, 0, 1)],
  ['expired', {}, 'the certificate expired on 2021-01-01', Date.UTC(2021, 0, 1)],
  ['expired', { serverName: 'elsewhere.example' }, 'the certificate expired on 2021-01-01', Date.UTC(2021, 0, 1)],
  ['expired', { isInsecure: true }, null, Date.UTC(2021, 0, 1)],
  ['early', {}, 'the certificate is not valid yet', IN_2110],
  ['other', {}, 'the certificate is not for shop.example', IN_2110],
  ['self-signed', {}, 'the certificate is self-signed', IN_2110],
  ['self-signed', { isInsecure: true }, null, IN_2110],
  [
    'valid',
    { caFile: null },
    'the certificate comes from an authority that is not trusted, or the chain is not whole',
    IN_2110,
  ],
];

test.for(CASES)('a TLS server with the certificate %s and %o', async ([certificate, settings, words, expiresMs]) => {
  const service = await open(certificate);
  const outcome = await look(makeTlsProbe(service.port, settings));
  expect(failureOf(outcome)).toBe(words === null ? null : `certificate: ${words}`);
  expect(outcome.expiresMs).toBe(expiresMs);
  await expect.poll(service.countConnections).toBe(0);
});

test.for(CASES)('https with the certificate %s and %o: nothing is sent to who is not trusted', async (row) => {
  const [certificate, settings, words, expiresMs] = row;
  const received: string[] = [];
  const service = await open(certificate, (socket) => {
    socket.on('data', (bytes: Buffer) => {
      received.push(bytes.toString());
      socket.write(WELL);
    });
  });
  const tls = { ...TRUSTING, ...settings };
  const headers = [['Authorization', 'Bearer secret']] as const;
  const outcome = await look(makeHttpProbe(`https://127.0.0.1:${service.port}/`, { tls, headers }));
  expect(failureOf(outcome)).toBe(words === null ? null : `certificate: ${words}`);
  expect(outcome.expiresMs).toBe(expiresMs);
  expect(received.join('').includes('Bearer secret')).toBe(words === null);
});

test('the certificate is looked at when the answer is wrong, and all parts are measured', async () => {
  const wrong = await open('valid', (socket) => socket.once('data', () => socket.end('HTTP/1.1 503 x\r\n\r\n')));
  const down = await look(makeHttpProbe(`https://127.0.0.1:${wrong.port}/`));
  expect([failureOf(down), down.statusCode, down.expiresMs]).toEqual(['status: status 503, not 2xx', 503, IN_2110]);
  const well = await open('valid', (socket) => socket.once('data', () => socket.end(WELL)));
  const up = await look(makeHttpProbe(`https://127.0.0.1:${well.port}/`));
  expect([...up.phasesMs.keys()]).toEqual(['dns', 'connect', 'tls', 'first-byte', 'transfer']);
});

test('a certificate that will have expired is one that has, by the clock of the host', async () => {
  const service = await open('chain');
  const outcome = await look(makeTlsProbe(service.port, { isInsecure: true }), 20_000, () => Date.UTC(2107, 0, 1));
  expect(outcome.expiresMs).toBe(IN_2110); // OpenSSL trusts the chain by the clock of this machine
});

test.for([
  [
    'speaks no TLS',
    (socket: Socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    /^tls: TLS could not be agreed upon/,
  ],
  ['ends at once', (socket: Socket) => void socket.end(), /^closed: /],
  ['resets', (socket: Socket) => void socket.once('data', () => socket.resetAndDestroy()), /^closed: /],
] as readonly (readonly [string, (socket: Socket) => void, RegExp])[])(
  'a server that %s',
  async ([, treat, failure]) => {
    const service = await open(undefined, treat);
    expect(failureOf(await look(makeTlsProbe(service.port)))).toMatch(failure);
    await expect.poll(service.countConnections).toBe(0);
  },
);

test('a server that is silent while TLS is agreed upon is given up', async () => {
  const service = await open(undefined);
  expect(failureOf(await look(makeTlsProbe(service.port), 300))).toBe('timeout: over 0.3 s while TLS was agreed upon');
  await expect.poll(service.countConnections).toBe(0);
});

test('the file of trusted certificates is read again when it has changed', async () => {
  const service = await open('valid');
  const caFile = join(makeRoot({}), 'authority.pem');
  const ask = async () => failureOf(await look(makeTlsProbe(service.port, { caFile })));
  expect(await ask()).toBe(`setup: the trusted certificates cannot be used: there is no ${caFile}`);
  copyFileSync(join(CERTIFICATES, 'self-signed.pem'), caFile);
  expect(await ask()).toMatch(/^certificate: /);
  copyFileSync(join(CERTIFICATES, 'authority.pem'), caFile);
  expect(await ask()).toBe(null);
  rmSync(caFile);
  execFileSync('mkfifo', [caFile]);
  expect(await ask()).toMatch(/^setup: the trusted certificates cannot be used: .*it is no file$/);
  rmSync(caFile);
  writeFileSync(caFile, 'garbage');
  expect(await ask()).toMatch(/^setup: .* holds no certificate in PEM/);
});
