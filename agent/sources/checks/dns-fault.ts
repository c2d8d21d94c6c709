import { codeOf } from '../../code-of.ts';
import { describeFault } from './failure.ts';
import type { Failure } from './check.ts';

/** Errors of Node's resolver (c-ares). `isUnknown`: the servers know nothing of the name, or there are none; the system may. */
const DNS_FAULTS: Readonly<Record<string, readonly [words: string, isUnknown: boolean]>> = {
  ENOTFOUND: ['there is no such name (NXDOMAIN)', true],
  ENODATA: ['the name has no such record', true],
  EBADNAME: ['that is no name', true],
  ESERVFAIL: ['the name server failed (SERVFAIL)', false],
  EREFUSED: ['the name server refused (REFUSED)', false],
  ENOTIMP: ['the name server does not know how (NOTIMP)', false],
  EFORMERR: ['the name server did not understand (FORMERR)', false],
  EBADRESP: ['the answer of the name server is malformed', false],
  EBADQUERY: ['the name cannot be asked for', false],
  ETIMEOUT: ['the name server does not answer', false],
  ECONNREFUSED: ['there is no name server (the question was refused)', true],
};

export function describeDnsFault(cause: unknown): { readonly failure: Failure; readonly isUnknown: boolean } {
  const code = codeOf(cause);
  const known = Object.hasOwn(DNS_FAULTS, code) ? DNS_FAULTS[code] : undefined;
  if (known === undefined) return { failure: { ...describeFault(cause), type: 'dns' }, isUnknown: false };
  return { failure: { type: 'dns', words: known[0] }, isUnknown: known[1] };
}
