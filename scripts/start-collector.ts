import { join } from 'node:path';

import type { Durability } from '../collector/store/durability.ts';
import { makePrinter, startProgram, type Program } from './program.ts';

/** A collector that is ready, as a process of its own. `key` is the access key. */
export type RunningCollector = Program & {
  readonly pid: number;
  readonly origin: string;
  readonly port: number;
  readonly key: string;
};

export type CollectorOptions = {
  readonly data: string;
  /** 0: any free one. */
  readonly port?: number;
  /** 0: any free one. */
  readonly livePort?: number;
  /** A build of the agent, for hosts to install. */
  readonly agents?: string;
  readonly durability?: Durability;
  /** A ClickHouse server to keep everything on. */
  readonly storeUrl?: string;
  readonly storeCluster?: string;
  /** A module that the process loads first, as a URL. */
  readonly preload?: string;
  /** Takes every line of its log; without it, warnings and errors are passed on. */
  readonly onLine?: (line: string) => void;
};

/** Starts a collector, and throws with what it says when it cannot run. */
export async function startCollector(options: CollectorOptions): Promise<RunningCollector> {
  const {
    data,
    port = 0,
    livePort = 0,
    agents,
    durability,
    storeUrl,
    storeCluster,
    preload,
    onLine = makePrinter('collector'),
  } = options;
  const said: string[] = [];
  let isReady = false;
  const program = startProgram({
    main: join(import.meta.dirname, '../collector/main.ts'),
    args: [
      '--port',
      String(port),
      '--live-port',
      String(livePort),
      '--data',
      data,
      ...(agents === undefined ? [] : ['--agents', agents]),
      ...(storeCluster === undefined ? [] : ['--store-cluster', storeCluster]),
      ...(durability === undefined ? [] : ['--durability', durability]),
    ],
    env: {
      ...(storeUrl === undefined ? {} : { MUSTER_STORE_URL: storeUrl }),
      ...(preload === undefined ? {} : { NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import=${preload}` }),
    },
    log: (line) => {
      if (!isReady) said.push(line);
      onLine(line);
    },
  });
  const url = await program.ready;
  if (program.pid === null || url === null) throw new Error(`Cannot start the collector: ${said.join(' ')}`);
  isReady = true;
  const { origin, port: itsPort, hash } = new URL(url);
  return { ...program, pid: program.pid, origin, port: Number(itsPort), key: hash.slice('#key='.length) };
}
