import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { findFreePort } from '../free-port.ts';
import { startObserved, type ObservedProcess } from '../observed-process.ts';
import { until } from '../until.ts';

/** Another agent of the same kind, running, and where what it has found is fetched; null: it is not asked. */
export type Peer = { readonly name: string; readonly process: ObservedProcess; readonly scrapeUrl: string | null };

type Kind = {
  readonly name: string;
  readonly file: string;
  readonly start: (port: number, directory: string) => Promise<Omit<Peer, 'name'>>;
};

/** As Debian packages them, with what each does by itself. */
const KINDS: readonly Kind[] = [
  {
    name: 'node_exporter',
    file: '/usr/bin/prometheus-node-exporter',
    start: async (port) => ({
      process: await startObserved({
        command: '/usr/bin/prometheus-node-exporter',
        args: [`--web.listen-address=127.0.0.1:${port}`],
      }),
      scrapeUrl: `http://127.0.0.1:${port}/metrics`,
    }),
  },
  {
    name: 'netdata',
    file: '/usr/sbin/netdata',
    // It samples by itself, once a second, and keeps what it found.
    start: async (port, directory) => {
      const config = await writeNetdataConfig(directory, port);
      return {
        process: await startObserved({ command: '/usr/sbin/netdata', args: ['-D', '-c', config] }),
        scrapeUrl: null,
      };
    },
  },
];

/** Starts those that are installed, beside each other; `say` is told which are not. */
export async function startPeers(directory: string, say: (text: string) => void): Promise<readonly Peer[]> {
  const peers: Peer[] = [];
  for (const { name, file, start } of KINDS) {
    if (!existsSync(file)) {
      say(`${name} is not installed (${file}): nothing to compare with`);
      continue;
    }
    const peer = { name, ...(await start(await findFreePort(), join(directory, name))) };
    peers.push(peer);
    await until(`${name} to run`, async () => {
      if (peer.process.hasEnded()) throw new Error(`Cannot run ${file}: it ends by itself`);
      return peer.scrapeUrl === null || (await scrape(peer.scrapeUrl)) ? true : null;
    });
  }
  return peers;
}

/** Fetches what a peer has found, and throws it away. False: it does not answer. */
export async function scrape(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function writeNetdataConfig(directory: string, port: number): Promise<string> {
  const folders = ['cache', 'lib', 'log', 'home'].map((name) => join(directory, name));
  for (const folder of folders) await mkdir(folder, { recursive: true });
  const [cache, lib, log, home] = folders;
  const path = join(directory, 'netdata.conf');
  const text = `[global]
  run as user = root
[directories]
  cache = ${cache}
  lib = ${lib}
  log = ${log}
  home = ${home}
[web]
  bind to = 127.0.0.1
  default port = ${port}
`;
  await writeFile(path, text);
  return path;
}
