import { execFile } from 'node:child_process';
import { existsSync, fsyncSync, openSync, readFileSync, writeFileSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { expect, test } from 'vitest';

import { describeError } from '@muster/proto/log';

import { openCutDisk } from './power-loss/disk.ts';

/** Why no disk can be cut here; null: one can. */
function findFault(): string | null {
  try {
    openCutDisk(64 * 1024 * 1024).close();
    return null;
  } catch (cause) {
    console.warn(`Not tested here: ${describeError(cause)}`);
    return describeError(cause);
  }
}

const isCuttable = findFault() === null;

function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
}

test.runIf(isCuttable)('a disk that was cut has what was put on it, and nothing else', () => {
  const disk = openCutDisk(64 * 1024 * 1024);
  const [kept, lost] = [join(disk.directory, 'kept'), join(disk.directory, 'lost')];
  writeFileSync(kept, 'kept');
  sync(kept);
  sync(disk.directory);
  writeFileSync(lost, 'lost');
  writeFileSync(kept, 'later');
  disk.cut();
  expect(() => writeFileSync(lost, 'again')).toThrow('EIO');
  disk.restart();
  expect(readFileSync(kept, 'utf8')).not.toBe('later');
  expect(existsSync(lost)).toBe(false);
  disk.close();
});

test.runIf(isCuttable)('what a collector has acknowledged outlives power cuts', { timeout: 180_000 }, async () => {
  const args = [join(import.meta.dirname, 'power-loss.ts'), '--cuts', '2', '--seconds', '4'];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(stdout).toContain('lost 0, duplicated 0, altered 0');
  expect(stdout).toContain('hosts whose token was forgotten 0');
});
