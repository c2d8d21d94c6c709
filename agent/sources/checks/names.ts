import type { Resolver } from 'node:dns/promises';
import { statSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { err, ok, type Result } from '@muster/proto/result';

import { readText } from '../../read-text.ts';
import type { Failure, Family, Run } from './check.ts';
import { describeDnsFault } from './dns-fault.ts';

export type Found = { readonly address: string; readonly family: 4 | 6 };

/** How long the other kind of address is waited for when there is one (RFC 8305, section 3). */
const OTHER_FAMILY_MS = 50;
/** A question is asked three times within the time of a run: a lost packet is no fault of the service. */
export const QUESTIONS = 3;

/**
 * The addresses of a name, as the programs of this host see them: what `etc/hosts` says, else the name servers, else,
 * when those know nothing of it, all else that the system asks (search domains, mDNS, its own name).
 *
 * The name servers are asked without the system's own call (getaddrinfo), because that cannot be given up: it would hold
 * one of Node's four threads for as long as a server is silent, and the agent itself needs one to find its collector.
 */
export async function findAddresses(
  host: string,
  family: Family,
  run: Run,
): Promise<Result<readonly Found[], Failure>> {
  const literal = isIP(host);
  if (literal !== 0) return ok([{ address: host, family: literal === 4 ? 4 : 6 }]);
  const listed = pick(readHosts(run.root).get(host.toLowerCase()) ?? [], family);
  if (listed.length > 0) return ok(listed);
  const asked = await askServers(host, family, makeResolver(run.timeoutMs, run.signal));
  if (asked.ok) return asked;
  if (!asked.error.isUnknown && !isLocalName(host)) return err(asked.error.failure);
  const known = await askSystem(host, family, run.signal);
  return known.length > 0 ? ok(known) : err(asked.error.failure);
}

/** One that name servers do not know without a search domain, or at all, and of which some say that they have failed. */
export function isLocalName(host: string): boolean {
  return !host.includes('.') || /\.local$/i.test(host);
}

function pick(found: readonly Found[], family: Family): readonly Found[] {
  return family === 0 ? found : found.filter((one) => one.family === family);
}

const NO_HOSTS: ReadonlyMap<string, readonly Found[]> = new Map();

let hosts: { readonly path: string; readonly stamp: string; readonly names: ReadonlyMap<string, readonly Found[]> } = {
  path: '',
  stamp: '',
  names: NO_HOSTS,
};

/** Some hosts files have a hundred thousand lines: it is read again only when it has changed. */
function readHosts(root: string): ReadonlyMap<string, readonly Found[]> {
  const path = join(root, 'etc/hosts');
  try {
    const { mtimeMs, size, ino } = statSync(path);
    const stamp = `${mtimeMs} ${size} ${ino}`;
    if (path !== hosts.path || stamp !== hosts.stamp) hosts = { path, stamp, names: parseHosts(readText(path) ?? '') };
    return hosts.names;
  } catch {
    return NO_HOSTS; // there is none, or it is nothing for us: the name servers are asked
  }
}

/** hosts(5): an address, then the names of it. */
export function parseHosts(text: string): ReadonlyMap<string, readonly Found[]> {
  const names = new Map<string, Found[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...own] = (line.split('#')[0] ?? '').trim().split(/\s+/);
    const family = isIP(address);
    if (family === 0) continue;
    for (const name of own.map((one) => one.toLowerCase())) {
      const known = names.get(name);
      const found: Found = { address, family: family === 4 ? 4 : 6 };
      if (known === undefined) names.set(name, [found]);
      else known.push(found);
    }
  }
  return names;
}

type Unfound = { readonly failure: Failure; readonly isUnknown: boolean };

/** IPv6 first, as RFC 8305 has it: what connects takes the other one a quarter of a second later. */
export async function askServers(
  host: string,
  family: Family,
  resolver: Resolver,
): Promise<Result<readonly Found[], Unfound>> {
  const ask = async (one: 4 | 6): Promise<Result<readonly Found[], unknown>> => {
    try {
      const addresses = await (one === 4 ? resolver.resolve4(host) : resolver.resolve6(host));
      return ok(addresses.map((address) => ({ address, family: one })));
    } catch (cause) {
      return err(cause);
    }
  };
  const four = family === 6 ? null : ask(4);
  const six = family === 4 ? null : ask(6);
  const first = await (four === null || six === null ? (four ?? six) : Promise.race([four, six]));
  const rest = [four, six].filter((one) => one !== null);
  const answers = await Promise.all(
    rest.map((one) => (first?.ok === true ? Promise.race([one, sleep(OTHER_FAMILY_MS, null)]) : one)),
  );
  const found = answers.toReversed().flatMap((answer) => (answer?.ok === true ? answer.value : []));
  if (found.length > 0) return ok(found);
  const faults = answers.flatMap((answer) => (answer?.ok === false ? describeDnsFault(answer.error) : []));
  // That one kind of address is missing is no news when the other could not be asked for.
  const worst = faults.find(({ isUnknown }) => !isUnknown) ?? faults[0] ?? describeDnsFault(null);
  return err(worst);
}

/** A resolver of its own for each run: it reads the system's settings anew, and remembers no answer. */
export function makeResolver(timeoutMs: number, signal: AbortSignal): Resolver {
  // The waits of the three questions grow: 1, 2 and 4 parts of the time, of which the last is cut short by the run's end.
  const { Resolver } = process.getBuiltinModule('node:dns/promises'); // for those who have checks
  const resolver = new Resolver({ timeout: Math.max(1, Math.floor(timeoutMs / 4)), tries: QUESTIONS });
  signal.addEventListener('abort', () => resolver.cancel(), { once: true });
  return resolver;
}

/** Holds a thread until it answers; one at a time, so that the others stay free. */
let system: Promise<unknown> = Promise.resolve();

async function askSystem(host: string, family: Family, signal: AbortSignal): Promise<readonly Found[]> {
  const turn = system.then(async () => {
    if (signal.aborted) return [];
    const { lookup } = process.getBuiltinModule('node:dns/promises');
    const found = await lookup(host, { all: true, family, order: 'verbatim' });
    return found.map((one) => ({ address: one.address, family: one.family === 4 ? 4 : 6 }) as const);
  });
  system = turn.catch(() => undefined);
  return turn.catch(() => []);
}
