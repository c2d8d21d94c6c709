import { test } from 'vitest';

import { runCases } from './disk-full/agent-cases.ts';
import { runCycles } from './disk-full/agent-cycles.ts';
import { findMountFault, mountSmallDisk } from './small-disk.ts';

const mount = () => mountSmallDisk(4 * 1024 * 1024);
const options = { concurrent: true, timeout: 120_000, skip: findMountFault() !== null };

test('an agent on a disk that fills goes on, and loses nothing', options, async ({ expect }) => {
  expect(await runCycles(mount(), 2, () => undefined)).toMatchObject({ lost: 0, twice: 0, exit: 0 });
});

test('so it does in whatever else may happen to its disk', options, async ({ expect }) => {
  const results = await runCases(mount, () => undefined);
  expect(results.filter(({ fault }) => fault !== null)).toEqual([]);
});
