import { readFileSync } from 'node:fs';

import { describeError, type Log } from '@muster/proto/log';

import { loadLibrary } from './library.ts';
import type { Schedule } from './schedule.ts';

/** By then the agent has joined, sampled and delivered: what only the start needed is not needed again. */
const FIRST_MS = 30_000;
/** What seldom work has brought back meanwhile. A round takes about a millisecond. */
const EVERY_MS = 600_000;
/** Source: madvise(2), asm-generic/mman-common.h. */
const MADV_DONTNEED = 4;

export type GiveBackOptions = {
  /** Where the library may be put, so that it can be loaded. */
  readonly directories: readonly string[];
  readonly log: Log;
  readonly schedule: Schedule;
};

/**
 * Gives pages of the executable and its libraries back to the system from time to time. They come back from the page cache
 * when they are touched; but three quarters of them are touched by the start alone. Only pages that are as they are in their file are given back.
 */
export function giveBackMemory(options: GiveBackOptions): void {
  const { directories, log, schedule } = options;
  const round = (): void => {
    try {
      const advise = loadLibrary(directories).load(null).func('int madvise(uintptr_t, size_t, int)');
      for (const { address, bytes } of findClean(readFileSync('/proc/self/smaps', 'latin1'))) {
        advise(address, bytes, MADV_DONTNEED);
      }
      schedule(round, EVERY_MS);
    } catch (cause) {
      log.info('memory.kept', { reason: describeError(cause) });
    }
  };
  schedule(round, FIRST_MS);
}

export type Mapping = { readonly address: number; readonly bytes: number };

/**
 * The parts of files in memory that may not be written and have not been: with nothing dirty, and nothing of our own. Source:
 * proc(5), /proc/pid/smaps.
 */
export function findClean(smaps: string): readonly Mapping[] {
  return smaps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/).flatMap((part) => {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ [1-9]\d* +\//.exec(part);
    const isClean = /^Private_Dirty: +0 kB$/m.test(part) && /^Anonymous: +0 kB$/m.test(part);
    if (match === null || !isClean) return [];
    const [start, end] = match.slice(1).map((text) => Number.parseInt(text, 16));
    return start === undefined || end === undefined ? [] : [{ address: start, bytes: end - start }];
  });
}
