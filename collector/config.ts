import { isIP } from 'node:net';
import { join } from 'node:path';

import { parsePort, parseSwitch, parseText, type Option, type Values } from '@muster/proto/options';
import { err, ok, type Result } from '@muster/proto/result';

import { formatKeep, type Keep, KEEP_DEFAULT, parseKeep } from './domain/keep.ts';
import { DURABILITIES, type Durability } from './store/durability.ts';
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
  keep: {
    env: 'MUSTER_KEEP',
    placeholder: 'DAYS',
    help: `how many days samples and what five minutes, hours and days come to are kept, such as ${formatKeep(KEEP_DEFAULT)}, which a new store begins with; what is not said stays as it is`,
    default: {},
    parse: parseKeep,
  } satisfies Option<Partial<Keep>>,
  storeUrl: {
    env: 'MUSTER_STORE_URL',
    placeholder: 'URL',
    help: 'a ClickHouse server to keep everything on: http://user:password@host:8123/database (default the data directory)',
    secret: true,
    default: null,
    parse: parseServerAddress,
  } satisfies Option<ServerAddress | null> as Option<ServerAddress | null>,
  storeCluster: {
    env: 'MUSTER_STORE_CLUSTER',
    placeholder: 'NAME',
    help: 'a cluster that the server of --store-url knows: each of its shards keeps all of some hosts (default none)',
    default: '',
    parse: (text: string) =>
      /^[\w.-]{1,64}$/.test(text) ? ok(text) : err('the name of a cluster in remote_servers: letters, digits, _ . -'),
  } satisfies Option<string>,
  agents: {
    env: 'MUSTER_AGENTS',
    placeholder: 'DIRECTORY',
    help: 'a build of the agent, for hosts to install (default dist/agent of this checkout)',
    default: join(import.meta.dirname, '../dist/agent'),
    parse: parseText,
  } satisfies Option<string>,
  durability: {
    env: 'MUSTER_DURABILITY',
    placeholder: 'MODE',
    help: 'what an acknowledged sample outlives: process (a kill; the default) or power-loss (slower)',
    default: 'process',
    parse: parseDurability,
  } satisfies Option<Durability>,
  backupTo: {
    env: 'MUSTER_BACKUP_TO',
    placeholder: 'DIRECTORY',
    help: 'where backups are written, best on another disk (default backups in the data directory)',
    default: '',
    parse: parseText,
  } satisfies Option<string>,
  backupEvery: {
    env: 'MUSTER_BACKUP_EVERY',
    placeholder: 'TIME',
    help: 'how often a backup is made, as 24h or 7d (default 0: only when one is asked for)',
    default: 0,
    parse: parseEvery,
  } satisfies Option<number>,
  backupKeep: {
    env: 'MUSTER_BACKUP_KEEP',
    placeholder: 'N',
    help: 'how many of those are kept, and whatever they stand on (default 14)',
    default: 14,
    parse: parseBackups,
  } satisfies Option<number>,
};

const HOUR_MS = 3_600_000;

function parseDurability(text: string): Result<Durability, string> {
  const found = DURABILITIES.find((one) => one === text);
  return found === undefined ? err(DURABILITIES.join(' or ')) : ok(found);
}

/** In milliseconds. More often than hourly they would only fill the disk. */
function parseEvery(text: string): Result<number, string> {
  const [, count, unit] = /^(\d{1,4})([hd])$/.exec(text) ?? [];
  const everyMs = Number(count) * HOUR_MS * (unit === 'd' ? 24 : 1);
  return everyMs > 0 || text === '0' ? ok(everyMs || 0) : err('hours or days, as 24h or 7d, or 0 for none');
}

function parseBackups(text: string): Result<number, string> {
  return /^[1-9]\d{0,3}$/.test(text) ? ok(Number(text)) : err('a whole number from 1 to 9999');
}

export type Config = Values<typeof OPTIONS>;

/** What is wrong with settings that are right one by one. */
export function findConfigFault(config: Config): string | null {
  const isLoopback = config.bind === '::1' || config.bind.startsWith('127.');
  if (!isLoopback && !config.insecureHttp)
    return `--bind ${config.bind} would serve plain HTTP to other machines; put a TLS proxy before 127.0.0.1, or say --insecure-http`;
  if (config.storeUrl === null)
    return config.storeCluster === '' ? null : '--store-cluster needs --store-url, the address of one of its servers';
  if (config.backupEvery > 0)
    return '--backup-every is not for a store on a ClickHouse server, which makes its own backups';
  if (config.durability === 'process') return null;
  return '--durability is not for a store on a ClickHouse server: set what its tables outlive there';
}
