import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { isNewer, parseKey, readManifest } from './release.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const SHA256 = 'a'.repeat(64);
const ENTRY = { file: 'x', bytes: 100, sha256: SHA256, gz: { file: 'x.gz', bytes: 10, sha256: SHA256 } };

function signed(content: unknown, key: KeyObject = privateKey) {
  const manifest = Buffer.from(JSON.stringify(content));
  return { manifest, signature: sign(null, manifest, key).toString('base64') };
}

test.for([
  ['0.2.0', '0.1.9', true],
  ['0.10.0', '0.9.0', true],
  ['1.0.0', '0.99.99', true],
  ['0.1.0', '0.1.0', false],
  ['0.1.0', '0.2.0', false],
  ['0.2.0-beta', '0.1.0', false],
  ['0.2', '0.1.0', false],
  ['', '0.1.0', false],
] as const)('isNewer(%o, %o) is %s', ([version, than, expected]) => {
  expect(isNewer(version, than)).toBe(expected);
});

test('of two versions one at most is newer', () => {
  const version = fc.tuple(fc.nat(30), fc.nat(30), fc.nat(30)).map((numbers) => numbers.join('.'));
  fc.assert(fc.property(version, version, (a, b) => Number(isNewer(a, b)) + Number(isNewer(b, a)) === Number(a !== b)));
});

test('parseKey() takes the 32 bytes of a public key, and nothing else', () => {
  const { x = '' } = publicKey.export({ format: 'jwk' });
  const text = Buffer.from(x, 'base64url').toString('base64');
  expect(parseKey(text)?.equals(publicKey)).toBe(true);
  for (const wrong of ['', text.slice(1), `${text} `, `${text}${text}`, 'not base64 at all'])
    expect(parseKey(wrong)).toBe(null);
});

test('readManifest() tells what a signed manifest says of a platform', () => {
  expect(readManifest(signed({ version: '1.2.3', files: { 'linux-x64': ENTRY } }), publicKey, 'linux-x64')).toEqual({
    ok: true,
    value: { version: '1.2.3', bytes: 100, sha256: SHA256, gz: { file: 'x.gz', bytes: 10 } },
  });
});

test.for([
  [{ version: '1.2', files: { 'linux-x64': ENTRY } }, 'no version'],
  [{ version: '1.2.3', files: { 'linux-arm64': ENTRY } }, 'nothing for linux-x64'],
  [{ version: '1.2.3', files: { 'linux-x64': { ...ENTRY, bytes: 2 ** 40 } } }, 'malformed'],
  [{ version: '1.2.3', files: { 'linux-x64': { ...ENTRY, sha256: 'A' } } }, 'malformed'],
  [{ version: '1.2.3', files: { 'linux-x64': { ...ENTRY, gz: { file: '../x', bytes: 1 } } } }, 'malformed'],
  [{ version: '1.2.3', files: { 'linux-x64': { ...ENTRY, gz: { file: 'x', bytes: -1 } } } }, 'malformed'],
  [[], 'no version'],
  [null, 'no version'],
] as const)('readManifest() refuses %j: %s', ([content, fault]) => {
  const read = readManifest(signed(content), publicKey, 'linux-x64');
  expect(read).toEqual({ ok: false, error: expect.stringContaining(fault) });
});

test('readManifest() looks at nothing that another key has signed, or that was altered', () => {
  const other = generateKeyPairSync('ed25519').privateKey;
  const good = signed({ version: '1.2.3', files: { 'linux-x64': ENTRY } });
  const altered = { ...good, manifest: Buffer.from(good.manifest.toString().replace('1.2.3', '1.2.4')) };
  for (const wrong of [signed({ version: '1.2.3' }, other), altered, { ...good, signature: '' }])
    expect(readManifest(wrong, publicKey, 'linux-x64')).toEqual({
      ok: false,
      error: expect.stringContaining('signature'),
    });
});

test('readManifest() never throws, whatever is signed', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.jsonValue(), fc.record({ version: fc.constant('1.2.3'), files: fc.jsonValue() })),
      (content) => {
        expect(typeof readManifest(signed(content), publicKey, 'linux-x64').ok).toBe('boolean');
      },
    ),
  );
});
