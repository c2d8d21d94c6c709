import { join } from 'node:path';

import { err, ok, type Result } from '@muster/proto/result';

import { readText } from '../read-text.ts';
import type { Source } from '../source.ts';

/** The kernel computes it anew every five seconds. Source: include/linux/sched/loadavg.h, LOAD_FREQ. */
const EVERY_MS = 5_000;

/** Threads that run or wait for the disk, averaged over 1, 5 and 15 minutes. Source: proc(5), /proc/loadavg. */
export type Load = { readonly minutes1: number; readonly minutes5: number; readonly minutes15: number };

export function makeLoadSource(root: string): Source {
  return {
    name: 'load',
    everyMs: EVERY_MS,
    read: () => {
      const load = readLoad(root);
      if (!load.ok) return load;
      return ok({
        samples: [
          { metric: 'system.cpu.load_average.1m', labels: '', value: load.value.minutes1 },
          { metric: 'system.cpu.load_average.5m', labels: '', value: load.value.minutes5 },
          { metric: 'system.cpu.load_average.15m', labels: '', value: load.value.minutes15 },
        ],
      });
    },
  };
}

export function readLoad(root: string): Result<Load, string> {
  return parseLoad(readText(join(root, 'proc/loadavg')) ?? '');
}

export function parseLoad(text: string): Result<Load, string> {
  const match = /^(\d{1,10}\.\d+) (\d{1,10}\.\d+) (\d{1,10}\.\d+) /.exec(text);
  if (match === null) return err('proc/loadavg does not begin with three numbers');
  return ok({ minutes1: Number(match[1]), minutes5: Number(match[2]), minutes15: Number(match[3]) });
}
