import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { isRecord } from '@muster/proto/record';

/**
 * Makes a directory, for its owner only, and whatever is missing above it. Node's own recursion (v22) tries for ever
 * where the system says ENOENT though nothing is missing, as in /proc.
 */
export async function makeDirectory(directory: string): Promise<void> {
  const parent = dirname(directory);
  try {
    await makeOne(directory);
  } catch (error) {
    if (!isRecord(error) || error['code'] !== 'ENOENT' || parent === directory) throw error;
    await makeDirectory(parent);
    await makeOne(directory);
  }
}

async function makeOne(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if (!isRecord(error) || error['code'] !== 'EEXIST' || !(await stat(directory)).isDirectory()) throw error;
  }
}
