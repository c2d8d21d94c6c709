import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { runBeside } from './run-beside.ts';
import { startCollector, type RunningCollector } from './start-collector.ts';

let directory: string;
let collector: RunningCollector;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-simulate-'));
  collector = await startCollector({ data: join(directory, 'data') });
});

afterAll(async () => {
  await collector.stop();
  await rm(directory, { recursive: true });
});

const simulate = (args: readonly string[]) => runBeside(collector, 'simulate.ts', args);

async function ask(path: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${collector.origin}${path}`, { headers: { Authorization: `Bearer ${collector.key}` } });
  return (await response.json()) as Record<string, unknown>;
}

const SIZE = ['--hosts', '12', '--services', '2', '--instances', '6', '--containers', '20', '--regions', '2'];

test('a made-up fleet joins, tells its past and what befalls it, and all of it arrives; begun anew it is the same fleet', async () => {
  const truth = join(directory, 'truth.json');
  const args = [
    ...SIZE,
    '--interval',
    '1s',
    '--backfill',
    '3h',
    '--scenario',
    'lost-region:at=-1h:for=30m',
    '--truth',
    truth,
  ];
  const first = await simulate([...args, '--for', '3s']);
  expect([first.code, first.count('given up'), first.count('ticks that wait still')], first.err).toEqual([0, 0, 0]);
  expect(first.count('acknowledged')).toBe(first.count('samples found'));
  const { hosts } = (await ask('/api/v1/hosts')) as { hosts: { host: string; labels: object; status: string }[] };
  expect(hosts.length).toBe(12);
  for (const { labels, status } of hosts)
    expect([labels, status]).toEqual([expect.objectContaining({ simulated: 'true' }), 'up']);

  const { incidents } = JSON.parse(await readFile(truth, 'utf8')) as {
    incidents: { hosts: string[]; fromMs: number; toMs: number }[];
  };
  const [lost] = incidents;
  expect(lost?.hosts.length).toBe(6);
  for (const { host } of hosts) {
    const range = `fromMs=${lost?.fromMs}&toMs=${lost?.toMs}`;
    const { series } = (await ask(`/api/v1/series?host=${host}&metric=system.cpu.utilization&${range}`)) as {
      series: { tsMs: number[] }[];
    };
    const ticks = series.flatMap(({ tsMs }) => tsMs).length;
    expect([host, ticks > 0]).toEqual([host, lost?.hosts.includes(host) === false]);
  }

  const again = await simulate([...SIZE, '--interval', '1s', '--for', '2s']);
  expect([again.code, again.count('acknowledged')], again.err).toEqual([0, again.count('samples found')]);
  const after = (await ask('/api/v1/hosts')) as { hosts: { host: string }[] };
  expect(after.hosts.map(({ host }) => host).toSorted()).toEqual(hosts.map(({ host }) => host).toSorted());
}, 60_000);

test.for([
  [['--speed', '60x'], 'say how much of the past with --backfill'],
  [['--speed', 'fast', '--backfill', '1h'], 'a whole number and x'],
] as const)('simulate %s says what is wrong', async ([args, words]) => {
  const { code, err } = await simulate([...SIZE, ...args, '--for', '1s']);
  expect([code !== 0, err]).toEqual([true, expect.stringContaining(words)]);
});

test('what is made up goes to no other machine', async () => {
  const { code, err } = await simulate([...SIZE, '--url', 'https://muster.example.com', '--for', '1s']);
  expect([code, err]).toEqual([1, expect.stringContaining('only a collector of this machine')]);
});
