import type { Finding } from '../../source.ts';
import type { Check, FailureType, Outcome, Probe } from './check.ts';

/** What to do about a failure, for who looks at it from this host. */
const NEXT: Readonly<Record<FailureType, string>> = {
  timeout: 'is it overloaded, or does a firewall drop what is sent to it? "timeout" says how long it is waited for',
  refused: 'nothing listens there: is the service running, and is the port right?',
  unreachable: 'look at the routes and the firewall of this host',
  closed: 'the log of the service says why, perhaps; a port that speaks TLS does this to who does not',
  dns: 'look at the spelling, and at the name servers in /etc/resolv.conf',
  tls: 'does the port speak TLS, and a version that is not older than 1.2?',
  certificate: 'renew it or mend its chain; "ca-file" names an authority of your own, "server-name" another name',
  protocol: 'does the port speak HTTP, and is it http or https?',
  status: '"status" says what is right: 200, 2xx, or a list',
  body: '"body" or "body-pattern" says what must be in it',
  redirect: 'name the address that it ends at',
  answer: '"expect" says what must be among the answers',
  setup: 'the user that the agent runs as must be able to read it',
  other: 'look at the log of the service',
};

/** What a check last saw, and what to do about it. */
export function describeCheck({ name, probe }: Check, last: Outcome | null): Finding {
  const title = `${name} (${probe.kind} ${describeTarget(probe)})`;
  if (last === null) return { what: `${title}: has not been looked at yet` };
  const expiry = last.expiresMs === null ? '' : `; the certificate is good until ${formatDay(last.expiresMs)}`;
  if (last.failure === null) return { what: `${title}: up, in ${Math.round(last.durationMs)} ms${expiry}` };
  return { what: `${title}: down: ${last.failure.words}`, next: NEXT[last.failure.type] };
}

/** Without what follows the `?` of an address, which may be a secret. */
function describeTarget(probe: Probe): string {
  switch (probe.kind) {
    case 'http': {
      const { origin, pathname } = new URL(probe.url);
      return `${origin}${pathname}`;
    }
    case 'dns':
      return `${probe.domain} ${probe.type}${probe.server === null ? '' : ` at ${probe.server}`}`;
    case 'tcp':
    case 'tls': {
      const { host, port } = probe.address;
      return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    }
  }
}

export function formatDay(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}
