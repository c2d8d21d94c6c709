import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { openStandIn } from './testing/collector.ts';
import { DEBIAN } from './testing/fixture.ts';

/** What a real agent sends of the captured machine, as text; after a change that is meant, look at each line of the difference. */
const GOLDEN = join(import.meta.dirname, 'sources/testdata/debian-12-x64-vm.samples');

/** Sources of which the numbers are those of the machine that runs the test. */
const OF_THIS_MACHINE = ['agent', 'clock', 'filesystems', 'processes'];

test('an agent sends of a captured machine exactly what its files say', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'muster-golden-'));
  const config = join(directory, 'agent.yaml');
  writeFileSync(config, `sources: { ${OF_THIS_MACHINE.map((name) => `${name}: false`).join(', ')} }\n`);
  const collector = await openStandIn();
  const args = ['--config', config, '--root', DEBIAN, '--url', collector.url, '--state', join(directory, 'state')];
  const agent = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args, '--interval', '1s'], {
    env: { PATH: process.env['PATH'] ?? '', MUSTER_TOKEN: 'enrolment' },
    stdio: 'ignore',
  });
  const exited = once(agent, 'exit');
  await collector.until(() => collector.batches.length >= 2);
  agent.kill('SIGTERM');
  await exited;
  await collector.close();
  rmSync(directory, { recursive: true });

  const values = new Map<string, Set<number>>();
  for (const { series, ticksMs, values: matrix } of collector.batches) {
    for (const [row, [metric, labels]] of series.entries()) {
      const key = `${metric}{${labels}}`;
      const known = values.get(key) ?? new Set();
      for (const value of matrix.subarray(row * ticksMs.length, (row + 1) * ticksMs.length)) {
        if (!Number.isNaN(value)) known.add(value);
      }
      values.set(key, known);
    }
  }
  const lines = [...values].map(([key, all]) => `${key} ${[...all].join(' ')}\n`).toSorted();
  expect(lines.join('')).toBe(readFileSync(GOLDEN, 'utf8'));
});
