import { join } from 'node:path';

import { err, ok, type Result } from '@muster/proto/result';

import { ratioOf } from '../ratio.ts';
import { parseCount, readText } from '../read-text.ts';
import type { Sample, Source } from '../source.ts';

/** It changes slowly. */
const EVERY_MS = 10_000;

/** What the kernel has a limited number of. `limit` null: there is none to speak of. */
export type Stock = { readonly used: number; readonly limit: number | null };

/** The kernel says that there is no limit by a number that nobody reaches. */
const LIMIT_MAX = 1e12;

/** Open files of the whole machine. */
export function makeHandleSource(root: string): Source {
  return {
    name: 'handles',
    everyMs: EVERY_MS,
    read: () => {
      const handles = readHandles(root);
      return handles.ok ? ok({ samples: sampleStock(handles.value, 'system.file_handle') }) : handles;
    },
  };
}

export function readHandles(root: string): Result<Stock, string> {
  return parseHandles(readText(join(root, 'proc/sys/fs/file-nr')) ?? '');
}

/** Source: kernel document admin-guide/sysctl/fs: allocated, allocated but unused (0 since 2.6), the limit. */
export function parseHandles(text: string): Result<Stock, string> {
  const match = /^(\d{1,15})\s+(\d{1,15})\s+(\d{1,20})\n/.exec(text);
  const [allocated, unused, limit] = (match ?? []).slice(1).map(Number);
  if (allocated === undefined || unused === undefined || limit === undefined) {
    return err('proc/sys/fs/file-nr does not hold three numbers');
  }
  return ok({ used: Math.max(0, allocated - unused), limit: limit > LIMIT_MAX || limit === 0 ? null : limit });
}

/** Connections that the firewall follows. When its table is full it drops the packets of all others. */
export function makeConntrackSource(root: string): Source {
  return {
    name: 'conntrack',
    everyMs: EVERY_MS,
    read: () => {
      const tracked = readConntrack(root);
      if (tracked === null) return ok({ samples: [] }); // the module is not loaded: nothing is tracked
      return ok({ samples: sampleStock(tracked, 'system.network.conntrack') });
    },
  };
}

/** Source: kernel document networking/nf_conntrack-sysctl. */
export function readConntrack(root: string): Stock | null {
  const directory = join(root, 'proc/sys/net/netfilter');
  const used = parseCount(readText(join(directory, 'nf_conntrack_count'))?.trimEnd());
  const limit = parseCount(readText(join(directory, 'nf_conntrack_max'))?.trimEnd());
  return used === null ? null : { used, limit: limit === 0 ? null : limit };
}

function sampleStock({ used, limit }: Stock, name: 'system.file_handle' | 'system.network.conntrack'): Sample[] {
  const samples: Sample[] = [{ metric: `${name}.count`, labels: '', value: used }];
  if (limit !== null) {
    samples.push(
      { metric: `${name}.limit`, labels: '', value: limit },
      { metric: `${name}.utilization`, labels: '', value: ratioOf(used, limit) },
    );
  }
  return samples;
}
