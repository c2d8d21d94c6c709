import { isIP, isIPv6 } from 'node:net';

import { describeError } from '@muster/proto/log';
import { err, ok } from '@muster/proto/result';
import * as v from 'valibot';

import { codeOf } from '../code-of.ts';
import { count, scalar } from '../settings.ts';
import type { Finding } from '../source.ts';
import { findPortHolder, type Protocol } from '../port-holder.ts';
import { SERIES_LIMIT_MAX } from './series.ts';

const ADDRESS_DEFAULT = '127.0.0.1';

const loopback = scalar((text) =>
  isLoopback(text)
    ? ok(text)
    : err('an address of this machine alone, such as 127.0.0.1; remote-address allows others'),
);
const address = scalar((text) => (isIP(text) === 0 ? err('an IP address') : ok(text)));

/** Room of its own for so many series, instead of a part of the common one. */
export const LIMIT_SETTING = { limit: v.optional(count(1, SERIES_LIMIT_MAX)) };

/** Of a source that others send to. Whoever reaches the address may send: only on loopback these are the host's own. */
export const LISTEN_SETTINGS = {
  ...LIMIT_SETTING,
  port: v.optional(count(1, 65_535)),
  address: v.optional(loopback),
  'remote-address': v.optional(address),
};
export type ListenSettings = {
  readonly limit?: number | undefined;
  readonly port?: number | undefined;
  readonly address?: string | undefined;
  readonly 'remote-address'?: string | undefined;
};

export function addressOf(settings: ListenSettings): string {
  return settings['remote-address'] ?? settings.address ?? ADDRESS_DEFAULT;
}

/** What others send may take such a share of a core where the configuration says none. */
export const CPU_RATIO_DEFAULT = 0.05;

export type Fault = { readonly code: string; readonly message: string };

export function toFault(cause: unknown): Fault {
  return { code: codeOf(cause), message: describeError(cause) };
}

export function isLoopback(text: string): boolean {
  return (isIP(text) === 4 && text.startsWith('127.')) || (isIPv6(text) && text === '::1');
}

/** As it stands in a URL, with its port. */
export function formatEndpoint(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** Why a port could not be had, and what to do. */
export function describeFault(
  root: string,
  { protocol, endpoint, port }: { readonly protocol: Protocol; readonly endpoint: string; readonly port: number },
  { code, message }: Fault,
): string {
  if (code === 'EADDRINUSE') {
    const holder = findPortHolder(root, protocol, port) ?? 'a process that only root can see';
    return `${endpoint} is taken by ${holder}: end that, or set another port here and where the services send to`;
  }
  if (code === 'EADDRNOTAVAIL') return `${endpoint}: this machine has no such address`;
  if (code === 'EACCES' && port < 1024)
    return `${endpoint}: a port below 1024 needs CAP_NET_BIND_SERVICE; set a higher one`;
  return `${endpoint} cannot be had: ${message}`;
}

/** What there is to say of a port that is open. */
export function describeOpen(protocol: Protocol, host: string, endpoint: string): Finding {
  const what = `it listens on ${protocol} ${endpoint}`;
  if (isLoopback(host)) return { what };
  return { what, next: 'whoever reaches this address can send metrics; let a firewall say who that is' };
}
