import { join } from 'node:path';

import { err, ok, type Result } from '@muster/proto/result';

import { readText } from '../read-text.ts';
import type { Source } from '../source.ts';

/** It is known in between. */
const EVERY_MS = 10_000;

export function makeUptimeSource(root: string): Source {
  return {
    name: 'uptime',
    everyMs: EVERY_MS,
    read: () => {
      const uptime = readUptime(root);
      return uptime.ok ? ok({ samples: [{ metric: 'system.uptime', labels: '', value: uptime.value }] }) : uptime;
    },
  };
}

/** Seconds since the kernel started, time in suspension included. Source: proc(5), /proc/uptime. */
export function readUptime(root: string): Result<number, string> {
  return parseUptime(readText(join(root, 'proc/uptime')) ?? '');
}

export function parseUptime(text: string): Result<number, string> {
  const match = /^(\d{1,12}\.\d+) /.exec(text);
  return match === null ? err('proc/uptime does not begin with a number') : ok(Number(match[1]));
}
