import { isIP } from 'node:net';
import { join } from 'node:path';

import { parsePort, parseSwitch, parseText, type Option, type Values } from '@muster/proto/options';
import { err, ok } from '@muster/proto/result';

import { parseServerAddress, type ServerAddress } from './store/server-address.ts';

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
  storeUrl: {
    env: 'MUSTER_STORE_URL',
    placeholder: 'URL',
    help: 'a ClickHouse server to keep everything on: http://user:password@host:8123/database (default the data directory)',
    secret: true,
    default: null,
    parse: parseServerAddress,
  } satisfies Option<ServerAddress | null> as Option<ServerAddress | null>,
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
