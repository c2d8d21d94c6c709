import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { expect, test } from 'vitest';

import { findMountFault, mountSmallDisk } from './small-disk.ts';
import { startCollector } from './start-collector.ts';

const skip = findMountFault() !== null;

test(
  'a disk that is filled and freed twice: nothing crashes, is lost or answered wrongly',
  {
    skip,
    timeout: 120_000,
  },
  async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'disk-full.ts'), '--cycles', '2']);
    const [said, faults, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    expect(said).toContain('lost                  0\n');
    expect(code, said + faults).toBe(0);
  },
);

test(
  'a collector that is started on a full disk gives up its ballast and shows what it has',
  {
    skip,
    timeout: 60_000,
  },
  async () => {
    const disk = mountSmallDisk(64 * 1024 * 1024);
    try {
      const data = join(disk.directory, 'data');
      await (await startCollector({ data })).stop();
      disk.fill();
      const collector = await startCollector({ data });
      disk.fill();
      const headers = { Authorization: `Bearer ${collector.key}` };
      expect((await fetch(`${collector.origin}/api/v1/hosts`, { headers })).status).toBe(200);
      expect(await collector.stop()).toBe(0);
    } finally {
      disk.unmount();
    }
  },
);
