import { createPublicKey, verify, type KeyObject } from 'node:crypto';

import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

import { parseJson } from '../parse-json.ts';

/** A manifest and its signature, as the collector serves them and as they are kept beside the binary. */
export type SignedManifest = { readonly manifest: Buffer; readonly signature: string };

/** What a manifest says of one platform: the executable, and the form in which it is fetched. */
export type Release = {
  readonly version: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly gz: { readonly file: string; readonly bytes: number };
};

/** Two and a half times the executable of today. */
export const BINARY_BYTES_MAX = 256 * 1024 * 1024;

const VERSION_PATTERN = /^(\d{1,6})\.(\d{1,6})\.(\d{1,6})$/;
/** It becomes a part of an address. */
const FILE_PATTERN = /^[a-z0-9][a-z0-9._-]{0,99}$/;
const SHA256_PATTERN = /^[0-9a-f]{64}$/;
const KEY_BYTES = 32;

/** An Ed25519 public key from the base64 of its 32 bytes, or null. Source: RFC 8037, section 2. */
export function parseKey(text: string): KeyObject | null {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.byteLength !== KEY_BYTES || bytes.toString('base64') !== text) return null;
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }, format: 'jwk' });
}

/**
 * What a manifest says of a platform, once it is known to come from the holder of the key. Not a byte of it is looked at
 * before.
 */
export function readManifest(
  { manifest, signature }: SignedManifest,
  key: KeyObject,
  platform: string,
): Result<Release, string> {
  if (!verify(null, manifest, key, Buffer.from(signature, 'base64'))) {
    return err('its signature is not one of the key that this agent was given');
  }
  const content = parseJson(manifest.toString('utf8'));
  const version = isRecord(content) ? content['version'] : null;
  const files = isRecord(content) ? content['files'] : null;
  if (typeof version !== 'string' || !VERSION_PATTERN.test(version)) return err('it has no version such as 1.2.3');
  const entry = isRecord(files) ? files[platform] : undefined;
  if (entry === undefined) return err(`it has nothing for ${platform}`);
  const release = isRecord(entry) ? readEntry(entry, version) : null;
  return release === null ? err(`what it says of ${platform} is malformed`) : ok(release);
}

function readEntry({ bytes, sha256, gz }: Record<string, unknown>, version: string): Release | null {
  if (!isRecord(gz) || !isSize(bytes) || !isSize(gz['bytes'])) return null;
  if (typeof sha256 !== 'string' || !SHA256_PATTERN.test(sha256)) return null;
  const { file } = gz;
  if (typeof file !== 'string' || !FILE_PATTERN.test(file)) return null;
  return { version, bytes, sha256, gz: { file, bytes: gz['bytes'] } };
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0 && Number(value) <= BINARY_BYTES_MAX;
}

/** Whether a version comes after another, number by number. What is no version is newer than nothing. */
export function isNewer(version: string, than: string): boolean {
  const [a, b] = [VERSION_PATTERN.exec(version), VERSION_PATTERN.exec(than)];
  if (a === null || b === null) return false;
  for (const part of [1, 2, 3]) {
    const difference = Number(a[part]) - Number(b[part]);
    if (difference !== 0) return difference > 0;
  }
  return false;
}
