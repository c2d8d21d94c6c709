import type { Socket } from 'node:net';

import type { Result } from '@muster/proto/result';

/** A look from this host at a service, as its owner configured it. */
export type Check = {
  readonly name: string;
  /** The service of the fleet that it looks at. */
  readonly service: string;
  readonly everyMs: number;
  readonly timeoutMs: number;
  readonly probe: Probe;
};

export type Probe = HttpProbe | TcpProbe | TlsProbe | DnsProbe;

export type Address = { readonly host: string; readonly port: number };
/** 0: whichever answers first, IPv6 a little ahead (RFC 8305). */
export type Family = 0 | 4 | 6;

/** How the certificate of a server is judged. */
export type TlsSettings = {
  /** The name that it must be for; null: that of the host. */
  readonly serverName: string | null;
  /** The certificates that are trusted, in a file; null: those that the system trusts. */
  readonly caFile: string | null;
  /** Whether any certificate will do. */
  readonly isInsecure: boolean;
};

export type TcpProbe = { readonly kind: 'tcp'; readonly address: Address; readonly family: Family };
export type TlsProbe = {
  readonly kind: 'tls';
  readonly address: Address;
  readonly family: Family;
  readonly tls: TlsSettings;
};

export type HttpProbe = {
  readonly kind: 'http';
  readonly url: string;
  readonly method: string;
  readonly family: Family;
  readonly tls: TlsSettings;
  /** Secrets, perhaps: nothing but a request to the origin of `url` ever holds them. */
  readonly headers: readonly Header[];
  /** More of them, a line each, read anew for each run. */
  readonly headerFile: string | null;
  /** Whether it goes where the server sends on; of methods that only read (`isReading`), and of no others: the settings see to it. */
  readonly isFollowing: boolean;
  readonly status: readonly StatusRange[];
  readonly body: string | null;
  readonly bodyPattern: RegExp | null;
};

export type Header = readonly [name: string, value: string];
/** Both ends belong to it. */
export type StatusRange = readonly [from: number, to: number];

export const RECORD_TYPES = ['A', 'AAAA', 'CNAME', 'MX', 'NS', 'PTR', 'SRV', 'TXT'] as const;
export type RecordType = (typeof RECORD_TYPES)[number];

export type DnsProbe = {
  readonly kind: 'dns';
  readonly domain: string;
  readonly type: RecordType;
  /** `address` or `address:port`; null: those of the system. */
  readonly server: string | null;
  /** What must be among the answers, each in the words of `formatRecord`. */
  readonly expect: readonly string[];
};

/** Where a run spends its time, in this order. */
export const PHASES = ['dns', 'connect', 'tls', 'first-byte', 'transfer'] as const;
export type Phase = (typeof PHASES)[number];

/**
 * Why a check failed, in one word; a label, so there are few of them. `unreachable`: there is no way to the host;
 * `closed`: the other side ended the connection too early; `protocol`: it speaks another language; `answer`: the name
 * server says something else than expected; `setup`: a file that the check needs cannot be read; `other`: the system
 * says something else.
 */
export type FailureType =
  | 'timeout'
  | 'refused'
  | 'unreachable'
  | 'closed'
  | 'dns'
  | 'tls'
  | 'certificate'
  | 'protocol'
  | 'status'
  | 'body'
  | 'redirect'
  | 'answer'
  | 'setup'
  | 'other';

/** `words` stay the same as long as the facts do, and hold nothing that the service said, nor any secret. */
export type Failure = { readonly type: FailureType; readonly words: string };

/** What a run has found out so far; it is filled while the run goes on, so that one that ends early leaves what it knows. */
export type Trace = {
  /** What it is at. */
  phase: Phase;
  readonly phasesMs: Map<Phase, number>;
  statusCode: number | null;
  /** When the first certificate of the chain expires, on the wall clock. */
  expiresMs: number | null;
};

/** A run under way: `signal` says that it is over, and everything that it opened must be gone. */
export type Run = {
  readonly trace: Trace;
  /** The one connection that is open, the outermost layer of it. */
  readonly held: { socket: Socket | null };
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Rises steadily, whatever is done to the wall clock. */
  readonly nowMs: () => number;
  /** The wall clock. */
  readonly now: () => number;
  /** The files of the machine are below this. */
  readonly root: string;
};

/** What a run found: null says that all was well. */
export type Outcome = Omit<Trace, 'phase'> & { readonly failure: Failure | null; readonly durationMs: number };

/** Measures one part of a run; of one that fails there is no time. */
export async function measure<T, E>(
  { trace, nowMs }: Run,
  phase: Phase,
  part: () => Promise<Result<T, E>>,
): Promise<Result<T, E>> {
  trace.phase = phase;
  const startedMs = nowMs();
  const result = await part();
  // Of a run that was sent on, the parts of all requests are added up.
  if (result.ok) trace.phasesMs.set(phase, (trace.phasesMs.get(phase) ?? 0) + nowMs() - startedMs);
  return result;
}

/** Whether asking again elsewhere does the same and changes nothing. Source: RFC 9110, sections 9.2.1 and 15.4. */
export function isReading(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}
