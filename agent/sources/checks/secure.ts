import { isIP, type Socket } from 'node:net';
import type { PeerCertificate, SecureContext, TLSSocket } from 'node:tls';

import { describeError } from '@muster/proto/log';
import { err, ok, type Result } from '@muster/proto/result';

import { codeOf } from '../../code-of.ts';
import { openTrust } from '../../trust.ts';
import { measure, type Failure, type Run, type TlsSettings } from './check.ts';
import { hold } from './connect.ts';
import { describeFault } from './failure.ts';

/** More than any real chain has; a server may send one that never ends. */
const CHAIN_LENGTH_MAX = 10;

/**
 * Agrees upon TLS over a connection, and says when the first certificate of the chain expires whether or not it is
 * trusted. One that is not is a failure, and nothing has been sent to that server by then.
 */
export async function secure(
  socket: Socket,
  host: string,
  settings: TlsSettings,
  run: Run,
): Promise<Result<TLSSocket, Failure>> {
  const context = openContext(settings.caFile);
  if (!context.ok) return context;
  const name = settings.serverName ?? host;
  const secured = await measure(run, 'tls', () => shakeHands(socket, name, context.value, run));
  if (!secured.ok) return secured;
  const { authorized, authorizationError } = secured.value;
  const expiriesMs = listExpiries(secured.value.getPeerCertificate(true));
  // A chain that is trusted although a part of it has expired does not need that part (a root that was cross-signed).
  const counted = authorized ? expiriesMs.filter((expiresMs) => expiresMs > run.now()) : expiriesMs;
  run.trace.expiresMs = counted.length > 0 ? Math.min(...counted) : null;
  if (authorized || settings.isInsecure) return secured;
  return err({
    type: 'certificate',
    words: describeDistrust(authorizationError, { name, expiriesMs, now: run.now() }),
  });
}

/** Loaded when the first check needs it: it takes 1.4 MiB. An `import()` for each run would cost more than a TCP check. */
function loadTls() {
  return process.getBuiltinModule('node:tls');
}

function openContext(caFile: string | null): Result<SecureContext, Failure> {
  try {
    return ok(openTrust(caFile));
  } catch (cause) {
    return err({ type: 'setup', words: describeError(cause) });
  }
}

function shakeHands(
  socket: Socket,
  name: string,
  secureContext: SecureContext,
  run: Run,
): Promise<Result<TLSSocket, Failure>> {
  return new Promise((resolve) => {
    const secured = loadTls().connect({
      socket,
      secureContext,
      host: name,
      ...(isIP(name) === 0 ? { servername: name } : {}), // RFC 6066, section 3: no address there
      rejectUnauthorized: false, // it is looked at first, and judged then
    });
    hold(secured, run);
    secured.once('secureConnect', () => resolve(ok(secured)));
    secured.on('error', (cause) => resolve(err(describeFault(cause))));
    secured.once('close', () => resolve(err({ type: 'closed', words: 'the other side cut the connection' })));
  });
}

/** When each certificate of the chain expires, that of the server first. */
function listExpiries(first: PeerCertificate & { readonly issuerCertificate?: PeerCertificate }): number[] {
  const expiriesMs: number[] = [];
  let certificate: typeof first | undefined = first;
  while (certificate !== undefined && expiriesMs.length < CHAIN_LENGTH_MAX) {
    const expiresMs = Date.parse(certificate.valid_to);
    if (!Number.isNaN(expiresMs)) expiriesMs.push(expiresMs);
    if (certificate.issuerCertificate === certificate) break; // the root
    certificate = certificate.issuerCertificate;
  }
  return expiriesMs;
}

/** By the code of OpenSSL (X509_verify_cert_error_string(3)) or Node. */
const DISTRUST: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate comes from an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT: 'the certificate comes from an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the certificate comes from an authority that is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'the certificate comes from an authority that is not trusted, or the chain is not whole',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet',
  CERT_REVOKED: 'the certificate was revoked',
};

function describeDistrust(
  error: unknown,
  { name, expiriesMs, now }: { readonly name: string; readonly expiriesMs: readonly number[]; readonly now: number },
): string {
  const expired = expiriesMs.findIndex((expiresMs) => expiresMs <= now);
  if (expired !== -1) {
    const day = new Date(expiriesMs[expired] ?? now).toISOString().slice(0, 10);
    return `${expired === 0 ? 'the certificate' : 'a certificate of the chain'} expired on ${day}`;
  }
  const code = typeof error === 'string' ? error : codeOf(error);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `the certificate is not for ${name}`;
  return (Object.hasOwn(DISTRUST, code) ? DISTRUST[code] : undefined) ?? `the certificate is not trusted (${code})`;
}
