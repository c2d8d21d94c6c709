import type { LatestValue } from '@muster/proto/api';
import { type Labels, parseLabels } from '@muster/proto/labels';

import { compareNames } from '../compare-names.ts';

/** One filesystem as it is now. null: not known. */
export type Filesystem = {
  readonly mountpoint: string;
  readonly device: string;
  readonly type: string;
  /** Used and free together, as df counts: without what is reserved for root. */
  readonly sizeBytes: number | null;
  readonly freeBytes: number | null;
  readonly usedRatio: number | null;
  readonly inodesRatio: number | null;
};

type Values = { readonly labels: Labels; readonly byName: Map<string, number | null> };

/** The filesystems among the newest values of a host, the fullest first. */
export function listFilesystems(latest: Iterable<LatestValue>): Filesystem[] {
  const found = new Map<string, Values>();
  for (const { metric, labels: text, value } of latest) {
    if (!metric.startsWith('system.filesystem.')) continue;
    const parsed = parseLabels(text);
    if (!parsed.ok) continue;
    const labels = parsed.value;
    const state = labels['system.filesystem.state'];
    const key = JSON.stringify([labels['system.device'], labels['system.filesystem.mountpoint']]);
    const values = found.get(key) ?? { labels, byName: new Map() };
    found.set(key, values);
    values.byName.set(state === undefined ? metric : `${metric} ${state}`, value);
  }
  return [...found.values()]
    .map(makeFilesystem)
    .toSorted((a, b) => (b.usedRatio ?? -1) - (a.usedRatio ?? -1) || compareNames(a.mountpoint, b.mountpoint));
}

function makeFilesystem({ labels, byName }: Values): Filesystem {
  const read = (name: string): number | null => byName.get(`system.filesystem.${name}`) ?? null;
  const [usedBytes, freeBytes] = [read('usage used'), read('usage free')];
  return {
    mountpoint: labels['system.filesystem.mountpoint'] ?? '',
    device: labels['system.device'] ?? '',
    type: labels['system.filesystem.type'] ?? '',
    sizeBytes: usedBytes === null || freeBytes === null ? null : usedBytes + freeBytes,
    freeBytes,
    usedRatio: read('utilization'),
    inodesRatio: read('inodes.utilization'),
  };
}
