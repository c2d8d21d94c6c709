import type { HttpProbe, Outcome, Probe, TlsSettings } from '../sources/checks/check.ts';
import { runProbe } from '../sources/checks/run.ts';
import { CERTIFICATES } from './services.ts';

/** Trusts the authority of the test certificates, and takes a server for `shop.example`. */
export const TRUSTING: TlsSettings = {
  serverName: 'shop.example',
  caFile: `${CERTIFICATES}/authority.pem`,
  isInsecure: false,
};

export function makeHttpProbe(url: string, more: Partial<HttpProbe> = {}): HttpProbe {
  return {
    kind: 'http',
    url,
    method: 'GET',
    family: 0,
    tls: TRUSTING,
    headers: [],
    headerFile: null,
    isFollowing: false,
    status: [[200, 299]],
    body: null,
    bodyPattern: null,
    ...more,
  };
}

export function makeTlsProbe(port: number, tls: Partial<TlsSettings> = {}): Probe {
  return { kind: 'tls', address: { host: '127.0.0.1', port }, family: 0, tls: { ...TRUSTING, ...tls } };
}

/** Looks once, on this machine. What takes long is a fault of a test, except where it is told to wait in vain. */
export function look(probe: Probe, timeoutMs = 20_000, now: () => number = Date.now): Promise<Outcome> {
  const closing = new AbortController().signal;
  return runProbe(probe, { timeoutMs, closing, now, nowMs: () => performance.now(), root: '/' });
}

/** `type: words` of what failed, or null. */
export function failureOf({ failure }: Outcome): string | null {
  return failure === null ? null : `${failure.type}: ${failure.words}`;
}
