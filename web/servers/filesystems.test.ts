import type { LatestValue } from '@muster/proto/api';
import { formatLabels } from '@muster/proto/labels';
import { expect, test } from 'vitest';

import { listFilesystems } from './filesystems.ts';

const latest = (metric: string, mountpoint: string, value: number | null, state?: string): LatestValue => ({
  metric: `system.filesystem.${metric}`,
  labels: formatLabels({
    'system.device': '/dev/sda1',
    'system.filesystem.mountpoint': mountpoint,
    'system.filesystem.type': 'ext4',
    ...(state === undefined ? {} : { 'system.filesystem.state': state }),
  }),
  tsMs: 0,
  value,
});

test('listFilesystems() joins what belongs together, the fullest first', () => {
  expect(
    listFilesystems([
      latest('utilization', '/', 0.25),
      latest('usage', '/', 1, 'used'),
      latest('usage', '/', 3, 'free'),
      latest('usage', '/', 9, 'reserved'),
      latest('inodes.utilization', '/', 0.5),
      latest('utilization', '/a,b', 0.9),
      { ...latest('x', '/', 1), metric: 'system.memory.usage' },
      { ...latest('utilization', '/', 1), labels: '=' },
    ]),
  ).toEqual([
    {
      mountpoint: '/a,b',
      device: '/dev/sda1',
      type: 'ext4',
      usedRatio: 0.9,
      sizeBytes: null,
      freeBytes: null,
      inodesRatio: null,
    },
    {
      mountpoint: '/',
      device: '/dev/sda1',
      type: 'ext4',
      usedRatio: 0.25,
      sizeBytes: 4,
      freeBytes: 3,
      inodesRatio: 0.5,
    },
  ]);
});
