import { hash as digest, randomBytes, timingSafeEqual } from 'node:crypto';

/** 256 bits, as text that survives URLs and shells. */
export function makeSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** What is kept of a secret: its SHA-256, hex. Enough for one of 256 random bits; passwords need more. */
export function hashSecret(secret: string): string {
  return digest('sha256', secret, 'hex');
}

/** Whether a secret has this hash, in a time that does not tell how much of it is right. */
export function isSecret(secret: string, hash: string): boolean {
  return areSameHash(hashSecret(secret), hash);
}

/** The same of two hashes. */
export function areSameHash(one: string, other: string): boolean {
  return timingSafeEqual(Buffer.from(one), Buffer.from(other));
}

/** What a secret is called where people see it: enough of its hash to tell it from others, of no use to guess it. */
export function nameSecret(hash: string): string {
  return hash.slice(0, 12);
}
