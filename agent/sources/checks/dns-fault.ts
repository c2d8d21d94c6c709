import { describeFault } from './failure.ts';
import type { Failure } from './check.ts';

/**
 * Errors of Node's resolver (c-ares). `isUnknown`: the servers know nothing of the name, or there are none; the system may.
 * A name that is not theirs they may also decline, instead of saying that they do not know it.
 */
const DNS_FAULTS: Readonly<Record<string, readonly [words: string, isUnknown: boolean | 'declined']>> = {
  ENOTFOUND: ['there is no such name (NXDOMAIN)', true],
  ENODATA: ['the name has no such record', true],
  EBADNAME: ['that is no name', true],
  ESERVFAIL: ['the name server failed (SERVFAIL)', 'declined'],
  EREFUSED: ['the name server refused (REFUSED)', 'declined'],
  ENOTIMP: ['the name server does not know how (NOTIMP)', false],
  EFORMERR: ['the name server did not understand (FORMERR)', false],
  EBADRESP: ['the answer of the name server is malformed', false],
  EBADQUERY: ['the name cannot be asked for', false],
  ETIMEOUT: ['the name server does not answer', false],
  ECONNREFUSED: ['there is no name server (the question was refused)', true],
};

/** `host` is what was asked for. */
export function describeDnsFault(
  cause: unknown,
  host: string,
): { readonly failure: Failure; readonly isUnknown: boolean } {
  const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  const known = Object.hasOwn(DNS_FAULTS, code) ? DNS_FAULTS[code] : undefined;
  if (known === undefined) return { failure: { ...describeFault(cause), type: 'dns' }, isUnknown: false };
  const [words, isUnknown] = known;
  return { failure: { type: 'dns', words }, isUnknown: isUnknown === 'declined' ? isLocal(host) : isUnknown };
}

/**
 * Whether a name may be one that only the system completes, by its search domains, or asks its neighbours for (RFC 6762).
 * Source: systemd-resolved.service(8): its stub sends no name of one label to the servers, and fails.
 */
function isLocal(host: string): boolean {
  return !host.includes('.') || /\.local\.?$/i.test(host);
}
