import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createServer, type AddressInfo } from 'node:net';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Somebody who may come to the server. */
export type ServerUser = {
  readonly name: string;
  readonly password: string;
  /** False: may only read. */
  readonly mayWrite?: boolean;
  /** What they may do, as `ALL ON fleet.*`; left out: everything. */
  readonly grants?: readonly string[];
};

export type ServerOptions = {
  /** Where it keeps its data; made where it is missing. One server a directory. */
  readonly path: string;
  /** 0, the default: any free one. */
  readonly port?: number;
  readonly users: readonly ServerUser[];
  /** A loopback address that it listens on; 127.0.0.1 by default. */
  readonly host?: string;
  /** What it knows of other servers, and how they reach it. */
  readonly clusters?: ServerClusters;
};

/** Clusters by name: of each shard the addresses of its replicas, all of which listen on one port as `user`. */
export type ServerClusters = {
  readonly tcpPort: number;
  readonly user: ServerUser;
  readonly shards: Readonly<Record<string, readonly (readonly string[])[]>>;
};

export type ClickHouseServer = {
  readonly pid: number;
  readonly port: number;
  readonly exited: Promise<void>;
  /** Closes its standard input, on which it ends. */
  readonly stop: () => Promise<void>;
  /** SIGKILL. */
  readonly kill: () => Promise<void>;
};

/** Why there can be no server here; null when there can. */
export function findServerFault(): string | null {
  try {
    createRequire(import.meta.url)('ffi-rs');
    createRequire(join(import.meta.dirname, '../../collector/package.json'))('chdb/libchdb').libchdbPath();
    return null;
  } catch (cause) {
    return `No ClickHouse server here: ${cause instanceof Error ? cause.message.split('\n')[0] : String(cause)}`;
  }
}

/**
 * Starts a ClickHouse server on loopback from the library that the collector embeds, in a process of its own. It ends with
 * this process, however that ends: then its standard input closes.
 */
export async function startClickHouseServer({
  path,
  port: asked = 0,
  users,
  host = '127.0.0.1',
  clusters,
}: ServerOptions): Promise<ClickHouseServer> {
  await mkdir(path, { recursive: true });
  const port = asked === 0 ? await findFreePort() : asked;
  const file = join(path, 'config.xml');
  await writeFile(file, formatConfig(file, users, clusters), { mode: 0o600 });
  const args = [
    join(import.meta.dirname, 'engine.ts'),
    `--path=${join(path, 'data')}`,
    `--listen_host=${host}`,
    ...(clusters === undefined ? [] : [`--tcp_port=${clusters.tcpPort}`]),
    `--http_port=${port}`,
    `--config-file=${file}`,
    '--multiquery',
    `--query=SYSTEM START LISTEN HTTP; ${clusters === undefined ? '' : 'SYSTEM START LISTEN TCP; '}SELECT * FROM file('-', 'LineAsString', 's String') FORMAT Null`,
  ];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)));
  child.stdin.on('error', () => undefined); // it has been killed
  let hasEnded = false;
  const exited = new Promise<void>((resolve) => {
    const end = (): void => {
      hasEnded = true;
      resolve();
    };
    child.once('close', end);
    child.once('error', end);
  });
  for (let attempt = 0; !(await answers(host, port)); attempt += 1) {
    if (!hasEnded && attempt < ATTEMPTS) {
      await sleep(ATTEMPT_MS);
      continue;
    }
    child.kill('SIGKILL');
    throw new Error(`Cannot start a ClickHouse server on port ${port}: ${said.trim() || 'it does not answer'}`);
  }
  return {
    pid: child.pid ?? 0,
    port,
    exited,
    stop() {
      child.stdin.end();
      return exited;
    },
    kill() {
      child.kill('SIGKILL');
      return exited;
    },
  };
}

/** Ready in 0.3 s on an idle machine; on one that does much else, in some seconds. */
const ATTEMPT_MS = 50;
const ATTEMPTS = 600;

async function answers(host: string, port: number): Promise<boolean> {
  return fetch(`http://${host}:${port}/ping`).then(
    async (response) => (await response.text()) === 'Ok.\n',
    () => false,
  );
}

/** A port of loopback that nobody listens on; somebody else may before it is used. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo; // it listens on a port
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

/** `default` is who runs the statement that keeps the server alive; nobody else comes as it. */
function formatConfig(file: string, users: readonly ServerUser[], clusters?: ServerClusters): string {
  const rows = users.map(
    ({ name, password, mayWrite = true, grants = ['ALL ON *.*'] }) =>
      `<${name}><password>${escapeText(password)}</password><networks><ip>127.0.0.0/8</ip></networks>` +
      `<profile>${mayWrite ? 'default' : 'readonly'}</profile><quota>default</quota>` +
      `<grants>${grants.map((grant) => `<query>GRANT ${grant}</query>`).join('')}</grants></${name}>`,
  );
  return `<clickhouse>
  <users_config>${escapeText(file)}</users_config>
  <mark_cache_size>67108864</mark_cache_size>
  ${clusters === undefined ? '' : formatClusters(clusters)}
  <profiles><default></default><readonly><readonly>1</readonly></readonly></profiles>
  <quotas><default></default></quotas>
  <users>
    <default><no_password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
    ${rows.join('\n    ')}
  </users>
</clickhouse>
`;
}

function formatClusters({ tcpPort, user, shards }: ServerClusters): string {
  const who = `<port>${tcpPort}</port><user>${user.name}</user><password>${escapeText(user.password)}</password>`;
  const formatShard = (hosts: readonly string[]): string =>
    `<shard>${hosts.map((host) => `<replica><host>${host}</host>${who}</replica>`).join('')}</shard>`;
  const rows = Object.entries(shards).map(([name, list]) => `<${name}>${list.map(formatShard).join('')}</${name}>`);
  return `<remote_servers>${rows.join('')}</remote_servers>`;
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
