import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { findReadable } from './trust.ts';

test('findReadable() passes over what is not there or cannot be read', () => {
  const directory = mkdtempSync(join(tmpdir(), 'muster-trust-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [loop, there] = [join(directory, 'loop'), join(directory, 'there')];
  symlinkSync(loop, loop);
  writeFileSync(there, '');
  expect(findReadable([join(directory, 'none'), loop, there])).toBe(there);
  expect(findReadable([loop])).toBe(null);
});
