import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { err, ok, type Result } from '@muster/proto/result';

import { ratioOf } from '../ratio.ts';
import { readText } from '../read-text.ts';
import type { Sample, Source } from '../source.ts';
import { parseFields } from './fields.ts';

/** `used`, `free`, `buffers` and `cached` add up to `total`, all in bytes. */
export type Memory = {
  readonly total: number;
  readonly available: number;
  readonly used: number;
  readonly free: number;
  readonly buffers: number;
  readonly cached: number;
  readonly swapTotal: number;
  readonly swapFree: number;
};

const STATES = (['used', 'free', 'buffers', 'cached'] as const).map(
  (state) => [state, formatLabels({ 'system.memory.state': state })] as const,
);
const PAGING_USED = formatLabels({ 'system.paging.state': 'used' });
const PAGING_FREE = formatLabels({ 'system.paging.state': 'free' });

export function makeMemorySource(root: string): Source {
  return {
    name: 'memory',
    read: () => {
      const memory = readMemory(root);
      return memory.ok ? ok({ samples: sampleMemory(memory.value) }) : memory;
    },
  };
}

export function readMemory(root: string): Result<Memory, string> {
  return parseMemory(readText(join(root, 'proc/meminfo')) ?? '');
}

/**
 * Divides memory: cached is the page cache (Cached, shared memory included) and the slab that can be reclaimed
 * (SReclaimable); used is the rest, MemTotal - MemFree - Buffers - Cached - SReclaimable. free(1) of procps 3.3 prints
 * the same; that of procps 4 prints MemTotal - MemAvailable as used. How much a program could still get is another
 * question, answered by `available`. Source: proc(5), /proc/meminfo.
 */
export function parseMemory(text: string): Result<Memory, string> {
  const bytes = parseFields(text);
  const total = bytes.get('MemTotal') ?? 0;
  const free = bytes.get('MemFree');
  if (total === 0 || free === undefined || free > total) return err('proc/meminfo has no MemTotal and MemFree');
  // The kernel reads these counters one after the other, so that they may overlap by a few pages.
  const buffers = Math.min(bytes.get('Buffers') ?? 0, total - free);
  const pages = (bytes.get('Cached') ?? 0) + (bytes.get('SReclaimable') ?? 0);
  const cached = Math.min(pages, total - free - buffers);
  // Kernels before 3.14 do not estimate it. Shared memory is in the cache, but cannot be given back.
  const estimate = Math.max(free, free + buffers + cached - (bytes.get('Shmem') ?? 0));
  const swapTotal = bytes.get('SwapTotal') ?? 0;
  return ok({
    total,
    available: Math.min(bytes.get('MemAvailable') ?? estimate, total),
    used: total - free - buffers - cached,
    free,
    buffers,
    cached,
    swapTotal,
    swapFree: Math.min(bytes.get('SwapFree') ?? 0, swapTotal),
  });
}

function sampleMemory(memory: Memory): Sample[] {
  const { total, available, swapTotal, swapFree } = memory;
  const samples: Sample[] = STATES.map(([state, labels]) => ({
    metric: 'system.memory.usage',
    labels,
    value: memory[state],
  }));
  samples.push(
    { metric: 'system.memory.limit', labels: '', value: total },
    { metric: 'system.memory.linux.available', labels: '', value: available },
    { metric: 'system.memory.utilization', labels: '', value: ratioOf(total - available, total) },
  );
  if (swapTotal === 0) return samples;
  samples.push(
    { metric: 'system.paging.usage', labels: PAGING_USED, value: swapTotal - swapFree },
    { metric: 'system.paging.usage', labels: PAGING_FREE, value: swapFree },
    { metric: 'system.paging.utilization', labels: '', value: ratioOf(swapTotal - swapFree, swapTotal) },
  );
  return samples;
}
