import { test } from 'vitest';

import { runCases } from './disk-full-cases.ts';
import { runCycles } from './disk-full-cycles.ts';
import { mountSmallDisk, type SmallDisk } from './small-disk.ts';

const DISK_BYTES = 4 * 1024 * 1024;
const first = mountSmallDisk(DISK_BYTES);
if (!first.ok) console.warn(`An agent on a full disk is not tested here. ${first.error}`);

test.runIf(first.ok)(
  'an agent on a disk that fills goes on, and loses nothing',
  { concurrent: true, timeout: 120_000 },
  async ({ expect }) => {
    if (!first.ok) return;
    try {
      expect(await runCycles(first.value, 2, () => undefined)).toMatchObject({ lost: 0, twice: 0, exit: 0 });
    } finally {
      first.value.unmount();
    }
  },
);

test.runIf(first.ok)(
  'so it does in whatever else may happen to its disk',
  { concurrent: true, timeout: 120_000 },
  async ({ expect }) => {
    const mount = (): SmallDisk => {
      const disk = mountSmallDisk(DISK_BYTES);
      if (!disk.ok) throw new Error(disk.error);
      return disk.value;
    };
    const results = await runCases(mount, () => undefined);
    expect(results.filter(({ fault }) => fault !== null)).toEqual([]);
  },
);
