import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';

import { describeError } from '@muster/proto/log';
import { expect, onTestFinished, test } from 'vitest';

import { CERTIFICATES, openService } from './testing/services.ts';
import { findReadable, openTrust } from './trust.ts';

function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'muster-trust-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('findReadable() passes over what is not there or cannot be read', () => {
  const directory = makeDirectory();
  const [loop, there] = [join(directory, 'loop'), join(directory, 'there')];
  symlinkSync(loop, loop);
  writeFileSync(there, '');
  expect(findReadable([join(directory, 'none'), loop, there])).toBe(there);
  expect(findReadable([loop])).toBe(null);
});

const OWN = readFileSync(join(CERTIFICATES, 'authority.pem'), 'utf8');
const OTHER = readFileSync(join(CERTIFICATES, 'self-signed.pem'), 'utf8');
const BROKEN = '-----BEGIN CERTIFICATE-----\nMIIB!!!!\n-----END CERTIFICATE-----\n';

test.for([
  ['first', OWN],
  ['behind one that is broken', OTHER + BROKEN + OWN],
  ['behind one that has no end', `-----BEGIN CERTIFICATE-----\nMIIB\n${OWN}`],
  ['among words, with the line ends of Windows', `# ours:\n${BROKEN}# and\n${OWN}# end\n`.replaceAll('\n', '\r\n')],
] as const)('openTrust() trusts an authority that stands %s', async ([, text]) => {
  const path = join(makeDirectory(), 'ca.pem');
  writeFileSync(path, text);
  const service = await openService((socket) => socket.resume(), 'valid');
  const socket = connect({ port: service.port, servername: 'localhost', secureContext: openTrust(path) });
  await expect(
    new Promise(
      (resolve, reject) => void socket.once('secureConnect', () => resolve(socket.authorized)).once('error', reject),
    ),
  ).resolves.toBe(true);
  socket.destroy();
  await service.close();
});

test.for([
  ['', 'holds no certificate in PEM'],
  ['garbage', 'holds no certificate in PEM'],
  [BROKEN, 'holds no certificate that can be read: '],
] as const)('openTrust() of a file of %j throws, for it would trust the world, or nobody', ([text, words]) => {
  const path = join(makeDirectory(), 'ca.pem');
  writeFileSync(path, text);
  const open = () => {
    try {
      return openTrust(path);
    } catch (cause) {
      return describeError(cause);
    }
  };
  expect(open()).toContain(`the trusted certificates cannot be used: ${path} ${words}`);
});
