import { X509Certificate } from 'node:crypto';
import { accessSync, constants, statSync } from 'node:fs';
import type { SecureContext } from 'node:tls';

import { readNamedText } from './read-text.ts';

/** All authorities that Mozilla trusts take 220 KiB. */
const BYTES_MAX = 1024 * 1024;

/** Where a system keeps the certificates that it trusts, those of its owner among them: update-ca-certificates(8), update-ca-trust(8). */
const SYSTEM_FILES = [
  '/etc/ssl/certs/ca-certificates.crt', // Debian, Ubuntu, Arch, Gentoo
  '/etc/pki/tls/certs/ca-bundle.crt', // Fedora, RHEL
  '/etc/ssl/ca-bundle.pem', // SUSE
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', // where the second one leads, without the link
] as const;

type Trust = { readonly version: string; readonly context: SecureContext };
const known = new Map<string, Trust>();

/**
 * What a connection over TLS trusts: the authorities in a file; null: those that the system trusts (`SSL_CERT_FILE` in the
 * environment names another file, as for OpenSSL), or Node's own list where the system has none. Read again when the file
 * has changed. Throws when it cannot be used.
 */
export function openTrust(file: string | null): SecureContext {
  const path = file ?? (process.env['SSL_CERT_FILE'] || null) ?? findReadable(SYSTEM_FILES);
  const version = path === null ? '' : readVersion(path);
  const trusted = known.get(path ?? '');
  if (trusted?.version === version) return trusted.context;
  const context = makeContext(path);
  known.set(path ?? '', { version, context });
  return context;
}

/** The first of these files that the agent may read, or null. */
export function findReadable(paths: readonly string[]): string | null {
  return paths.find(mayRead) ?? null;
}

function mayRead(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** Empty: there is no such file. */
function readVersion(path: string): string {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? '' : `${stats.ino} ${stats.size} ${stats.ctimeNs}`;
}

function makeContext(path: string | null): SecureContext {
  try {
    const ca = path === null ? undefined : readCertificates(path);
    // Loaded when TLS is first spoken: it takes 1.4 MiB.
    return process.getBuiltinModule('node:tls').createSecureContext({ ca });
  } catch (cause) {
    throw new Error('the trusted certificates cannot be used', { cause });
  }
}

/**
 * The certificates in a file that can be read. Node takes them one after the other up to the first that it cannot read, and
 * its own list where it is given none: one that is broken would cut off all behind it, and an empty file trust the world.
 */
function readCertificates(path: string): string[] {
  const text = readNamedText(path, BYTES_MAX);
  if (text === null) throw new Error(`there is no ${path}`);
  const written = text
    .split(/(?=-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----)/)
    .filter((part) => part.startsWith('-----BEGIN '));
  let fault: unknown;
  const certificates = written.filter((part) => {
    try {
      return new X509Certificate(part).raw.length > 0;
    } catch (cause) {
      fault = cause;
      return false;
    }
  });
  if (certificates.length > 0) return certificates;
  if (written.length === 0) throw new Error(`${path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)`);
  throw new Error(`${path} holds no certificate that can be read`, { cause: fault });
}
