import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

/** Makes a key to sign releases with, in a file for its owner only, and returns the public half as agents are given it. */
export function makeKey(path: string): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  // Never over another one: agents that know only that would take no update any more.
  writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  return formatPublicKey(privateKey);
}

export function readKey(path: string): KeyObject {
  try {
    const key = createPrivateKey(readFileSync(path));
    if (key.asymmetricKeyType !== 'ed25519') throw new Error(`it is of type ${key.asymmetricKeyType}`);
    return key;
  } catch (cause) {
    throw new Error(`Cannot use ${path} to sign: it must be an Ed25519 private key, as --make-key writes it`, {
      cause,
    });
  }
}

/** The signature over these very bytes, as base64 and a line's end. */
export function signBytes(key: KeyObject, bytes: Uint8Array): string {
  return `${sign(null, bytes, key).toString('base64')}\n`;
}

/** The 32 bytes of the public key, as base64. Source: RFC 8037, section 2. */
export function formatPublicKey(privateKey: KeyObject): string {
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  return Buffer.from(x, 'base64url').toString('base64');
}
