import { isIP } from 'node:net';
import { join } from 'node:path';

import { parsePort, parseSwitch, parseText, type Option, type Values } from '@muster/proto/options';
import { err, ok } from '@muster/proto/result';

import { formatKeep, type Keep, KEEP_DEFAULT, parseKeep } from './domain/keep.ts';

/** The collector's settings. Flag before environment before default. */
export const OPTIONS = {
  port: {
    env: 'MUSTER_PORT',
    placeholder: 'PORT',
    help: 'port of the dashboard, the API and the agents (default 7430)',
    default: 7430,
    parse: parsePort,
  } satisfies Option<number>,
  livePort: {
    env: 'MUSTER_LIVE_PORT',
    placeholder: 'PORT',
    help: 'loopback port of the live view, reached through the first (default 7431)',
    default: 7431,
    parse: parsePort,
  } satisfies Option<number>,
  bind: {
    env: 'MUSTER_BIND',
    placeholder: 'ADDRESS',
    help: 'address to listen on (default 127.0.0.1); any other also needs --insecure-http',
    default: '127.0.0.1',
    parse: (text: string) => (isIP(text) === 0 ? err('an IP address') : ok(text)),
  } satisfies Option<string>,
  insecureHttp: {
    env: 'MUSTER_INSECURE_HTTP',
    help: 'allow plain HTTP from other machines: whoever is on the way reads tokens and data',
    default: false,
    parse: parseSwitch,
  } satisfies Option<boolean>,
  data: {
    env: 'MUSTER_DATA',
    placeholder: 'DIRECTORY',
    help: 'where everything is kept (default /var/lib/muster)',
    default: '/var/lib/muster',
    parse: parseText,
  } satisfies Option<string>,
  keep: {
    env: 'MUSTER_KEEP',
    placeholder: 'DAYS',
    help: `how many days samples and what five minutes, hours and days come to are kept, such as ${formatKeep(KEEP_DEFAULT)}, which a new store begins with; what is not said stays as it is`,
    default: {},
    parse: parseKeep,
  } satisfies Option<Partial<Keep>>,
  agents: {
    env: 'MUSTER_AGENTS',
    placeholder: 'DIRECTORY',
    help: 'a build of the agent, for hosts to install (default dist/agent of this checkout)',
    default: join(import.meta.dirname, '../dist/agent'),
    parse: parseText,
  } satisfies Option<string>,
};

export type Config = Values<typeof OPTIONS>;

/** What is wrong with settings that are right one by one. */
export function findConfigFault(config: Config): string | null {
  const isLoopback = config.bind === '::1' || config.bind.startsWith('127.');
  if (isLoopback || config.insecureHttp) return null;
  return `--bind ${config.bind} would serve plain HTTP to other machines; put a TLS proxy before 127.0.0.1, or say --insecure-http`;
}
