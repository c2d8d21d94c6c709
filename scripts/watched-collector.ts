import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { makePrinter } from './program.ts';
import { startCollector, type CollectorOptions, type RunningCollector } from './start-collector.ts';

/** For how long the event loop was held up, in ms. */
export type LoopDelay = { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };

export type WatchedCollector = RunningCollector & {
  /** What it was since the last look. */
  readonly readLoopDelay: () => Promise<LoopDelay>;
  readonly readHandles: () => Handles;
};

export type Handles = { readonly files: number; readonly threads: number; readonly parts: number };

/** Starts a collector that says for how long its event loop is held up, and what it holds. */
export async function startWatched(options: Omit<CollectorOptions, 'preload' | 'onLine'>): Promise<WatchedCollector> {
  const print = makePrinter('collector');
  let tell: (delay: LoopDelay) => void = () => undefined;
  const collector = await startCollector({
    ...options,
    preload: new URL('loop-delay.ts', import.meta.url).href,
    onLine: (line) => {
      const [, p50, p99, max] = /^p50 (\d+) ms, p99 (\d+) ms, at most (\d+) ms$/.exec(line) ?? [];
      if (p50 === undefined) print(line);
      else tell({ p50Ms: Number(p50), p99Ms: Number(p99), maxMs: Number(max) });
    },
  });
  return {
    ...collector,
    readLoopDelay: () =>
      new Promise((resolve) => {
        tell = resolve;
        process.kill(collector.pid, 'SIGUSR2');
      }),
    readHandles: () => ({
      files: readdirSync(`/proc/${collector.pid}/fd`).length,
      threads: Number(/^Threads:\s+(\d+)$/m.exec(readFileSync(`/proc/${collector.pid}/status`, 'utf8'))?.[1]),
      parts: countParts(options.data),
    }),
  };
}

/** The directories of parts, those among them that were merged and wait to be deleted. */
function countParts(data: string): number {
  const store = join(data, 'clickhouse/store');
  return readdirSync(store)
    .flatMap((folder) => readdirSync(join(store, folder)).map((table) => join(store, folder, table)))
    .flatMap((table) => readdirSync(table))
    .filter((name) => /^[^_]+_\d+_\d+_\d+$/.test(name)).length;
}
