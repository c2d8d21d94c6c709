import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { expect, test } from 'vitest';

test('agents and a collector that are killed again and again lose no sample, store none twice and alter none', async () => {
  const options = ['--agents', '6', '--minutes', '0.4', '--kills', '24', '--seed', '7'];
  const child = spawn(process.execPath, [join(import.meta.dirname, 'chaos.ts'), ...options]);
  const [said, faults, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  console.log(said);
  expect(faults).toBe('');
  expect(said).toMatch(/lost 0 \(acknowledged 0\), duplicated 0, altered 0/);
  const [, agents, collector] = /kills +(\d+) of agents, (\d+) of the collector/.exec(said) ?? [];
  expect(Number(agents) + Number(collector)).toBeGreaterThanOrEqual(20);
  expect(Number(collector)).toBeGreaterThan(0);
  expect(code).toBe(0);
}, 180_000);
