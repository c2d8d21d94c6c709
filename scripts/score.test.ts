import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { runBeside } from './run-beside.ts';
import { startCollector, type RunningCollector } from './start-collector.ts';

let directory: string;
let collector: RunningCollector;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-score-'));
  collector = await startCollector({ data: join(directory, 'data') });
});

afterAll(async () => {
  await collector.stop();
  await rm(directory, { recursive: true });
});

test('with --speed the past passes sample by sample, and what was said of it is scored against what was true', async () => {
  const truth = join(directory, 'fast.json');
  const fast = await runBeside(collector, 'simulate.ts', [
    '--hosts=10',
    '--services=0',
    '--instances=0',
    '--containers=6',
    '--regions=2',
    '--interval=10s',
    '--backfill=1h',
    '--speed=1200x',
    '--for=9s',
    `--truth=${truth}`,
    '--seed=5',
    '--scenario=reboot-storm:at=-50m:for=20m:count=3,restart-loop:at=-20m:for=10m,disk-sudden:at=-30m:for=20m',
  ]);
  expect([fast.code, fast.count('given up'), fast.count('ticks that wait still')], fast.err).toEqual([0, 0, 0]);
  const scored = await runBeside(collector, 'score.ts', ['--truth', truth, '--past', '1h']);
  expect(scored.code, scored.err).toBe(0);
  const row = (name: string) => new RegExp(`^${name} +(\\d+) +(\\d+)`, 'm').exec(scored.out)?.slice(1).map(Number);
  expect([row('reboot-storm'), row('restart-loop'), row('disk-sudden')], scored.out).toEqual([
    [1, 1],
    [1, 1],
    [1, 0],
  ]);
  expect(scored.out).toMatch(/^precision +1\.00$/m);
}, 60_000);
