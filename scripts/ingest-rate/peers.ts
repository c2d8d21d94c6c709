import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { findFreePort } from '../free-port.ts';
import { startObserved, type ObservedProcess } from '../observed-process.ts';
import { until } from '../until.ts';

/** Another store, running, that takes remote write at this path of this port of loopback. */
export type Peer = { readonly process: ObservedProcess; readonly port: number; readonly path: string };

/** Another store, as Debian packages it. */
export type PeerKind = {
  readonly name: string;
  /** What an answer of it says of the samples. */
  readonly promise: string;
  readonly file: string;
  readonly path: string;
  readonly readyPath: string;
  readonly makeArgs: (port: number, directory: string) => Promise<readonly string[]>;
};

export const PEERS: readonly PeerKind[] = [
  {
    name: 'Prometheus',
    promise: 'acknowledges once it is written to its journal',
    file: '/usr/bin/prometheus',
    path: '/api/v1/write',
    readyPath: '/-/ready',
    makeArgs: async (port, directory) => {
      const config = join(directory, 'prometheus.yml');
      // Hosts that send as fast as they can run apart by hours of their own time; it refuses the slow ones otherwise.
      await writeFile(config, 'storage:\n  tsdb:\n    out_of_order_time_window: 1d\n');
      return [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--web.enable-remote-write-receiver',
      ];
    },
  },
  {
    name: 'VictoriaMetrics',
    promise: 'acknowledges what is in memory only',
    file: '/usr/bin/victoria-metrics',
    path: '/api/v1/write',
    readyPath: '/health',
    makeArgs: async (port, directory) => [
      `-storageDataPath=${join(directory, 'data')}`,
      `-httpListenAddr=127.0.0.1:${port}`,
      '-retentionPeriod=12',
    ],
  },
];

/** null where it is not installed; throws where it does not run. */
export async function startPeer(kind: PeerKind, directory: string): Promise<Peer | null> {
  if (!existsSync(kind.file)) return null;
  await mkdir(directory, { recursive: true });
  const port = await findFreePort();
  const process = await startObserved({ command: kind.file, args: await kind.makeArgs(port, directory) });
  await until(`${kind.name} to run`, async () => {
    if (process.hasEnded()) throw new Error(`Cannot run ${kind.file}: it ends by itself`);
    const response = await fetch(`http://127.0.0.1:${port}${kind.readyPath}`).catch(() => null);
    return response?.ok === true ? true : null;
  });
  return { process, port, path: kind.path };
}
