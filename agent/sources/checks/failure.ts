import { codeOf } from '../../code-of.ts';
import type { Failure, Phase } from './check.ts';

/** Errors of the system, of Node's parser of HTTP (HPE_…) and of OpenSSL (ERR_SSL_…) by their code. */
const FAILURES: Readonly<Record<string, Failure>> = {
  ECONNREFUSED: { type: 'refused', words: 'the connection was refused' },
  EHOSTUNREACH: { type: 'unreachable', words: 'there is no way to the host' },
  ENETUNREACH: { type: 'unreachable', words: 'there is no way to the network of the host' },
  EADDRNOTAVAIL: { type: 'unreachable', words: 'this host has no address to reach it from' },
  EACCES: { type: 'unreachable', words: 'a firewall of this host forbids it' },
  EPERM: { type: 'unreachable', words: 'a firewall of this host forbids it' },
  ETIMEDOUT: { type: 'timeout', words: 'the host does not answer' },
  ECONNRESET: { type: 'closed', words: 'the other side cut the connection' },
  EPIPE: { type: 'closed', words: 'the other side cut the connection' },
  ECONNABORTED: { type: 'closed', words: 'the other side cut the connection' },
  HPE_HEADER_OVERFLOW: { type: 'protocol', words: 'the headers of the answer have no end' },
  HPE_INVALID_EOF_STATE: { type: 'closed', words: 'the answer breaks off' },
};
const FAMILIES: readonly (readonly [RegExp, Failure])[] = [
  [/^HPE_/, { type: 'protocol', words: 'what answers does not speak HTTP' }],
  [/^(ERR_SSL_|ERR_TLS_|EPROTO$)/, { type: 'tls', words: 'TLS could not be agreed upon' }],
];

/** What an error of a connection means. Its code is named where it tells more; its message may hold what was received. */
export function describeFault(cause: unknown): Failure {
  const code = findCode(cause);
  const known = Object.hasOwn(FAILURES, code) ? FAILURES[code] : undefined;
  if (known !== undefined) return known;
  const family = FAMILIES.find(([pattern]) => pattern.test(code))?.[1];
  if (family?.type === 'tls') return { type: 'tls', words: `${family.words} (${code})` };
  return family ?? { type: 'other', words: `the system says ${code === '' ? nameOf(cause) : code}` };
}

function nameOf(cause: unknown): string {
  return cause instanceof Error ? cause.name : 'something that is no error';
}

/** The code of the first address that was tried, where several were (AggregateError). */
function findCode(cause: unknown): string {
  if (!(cause instanceof AggregateError)) return codeOf(cause);
  // Every address was given up after its share of the time, or refused: a refusal says more.
  const codes = cause.errors.map(codeOf);
  return codes.find((code) => code === 'ECONNREFUSED') ?? codes.find((code) => code !== '') ?? codeOf(cause);
}

const DOING: Readonly<Record<Phase, string>> = {
  dns: 'while its name was looked up',
  connect: 'while connecting',
  tls: 'while TLS was agreed upon',
  'first-byte': 'while the answer was waited for',
  transfer: 'while the answer was read',
};

/** A run that did not end in time. */
export function describeTimeout(timeoutMs: number, phase: Phase): Failure {
  return { type: 'timeout', words: `over ${timeoutMs / 1000} s ${DOING[phase]}` };
}
