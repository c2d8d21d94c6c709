import { mkdtemp, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { makeBallast } from './ballast.ts';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-ballast-'));
});

afterAll(() => rm(directory, { recursive: true }));

test('a ballast takes up real room, is made again where it is not whole, and is given up once', async () => {
  const file = join(directory, 'ballast');
  const ballast = makeBallast(directory);
  expect(await ballast.release()).toBe(false);
  await ballast.restore();
  const { size, blocks, mode } = await stat(file);
  expect(size).toBeGreaterThan(1024 * 1024);
  expect(blocks * 512).toBeGreaterThanOrEqual(size);
  expect(mode & 0o077).toBe(0);
  await truncate(file, 1000); // as a kill leaves it
  await ballast.restore();
  expect((await stat(file)).size).toBe(size);
  await ballast.releaseIfFull(); // which this disk is not
  expect([await ballast.release(), await ballast.release()]).toEqual([true, false]);
});

test('releaseIfFull() of a directory that is not there yet does nothing', async () => {
  const ballast = makeBallast(join(directory, 'none'));
  await expect(ballast.releaseIfFull()).resolves.toBeUndefined();
});
