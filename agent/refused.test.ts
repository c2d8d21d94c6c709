import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { keepRefused } from './refused.ts';

function makeDirectory(): string {
  const parent = mkdtempSync(join(tmpdir(), 'muster-refused-'));
  onTestFinished(() => rmSync(parent, { recursive: true }));
  return join(parent, 'refused');
}

test('keepRefused() keeps a batch with its reason, for nobody but its owner', () => {
  const directory = makeDirectory();
  const path = keepRefused(directory, { epoch: 1, seq: 2, atMs: 3, reason: '400: why', message: Buffer.from('batch') });
  expect(readFileSync(path, 'utf8')).toBe('batch');
  expect(JSON.parse(readFileSync(path.replace(/msgpack$/, 'json'), 'utf8'))).toMatchObject({
    seq: 2,
    reason: '400: why',
  });
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test.for([
  [100, 1, 32],
  [20, 1024 * 1024, 8],
  [3, 16 * 1024 * 1024, 1],
] as const)('of %i batches of %i bytes keepRefused() keeps the newest %i', ([count, bytes, kept]) => {
  const directory = makeDirectory();
  const message = Buffer.alloc(bytes);
  for (let seq = 1; seq <= count; seq += 1)
    keepRefused(directory, { epoch: 1, seq, atMs: 1_000 + seq, reason: '', message });
  const names = readdirSync(directory);
  expect(names.filter((name) => name.endsWith('.msgpack'))).toHaveLength(kept);
  expect(names).toHaveLength(2 * kept);
  expect(names).toContain(`${1_000 + count}-1-${count}.json`);
});
