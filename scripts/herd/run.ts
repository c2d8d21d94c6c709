import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { startCollector, type RunningCollector } from '../start-collector.ts';
import { readUsage, type Usage } from '../usage.ts';
import { checkStore, type Balance } from './check.ts';
import type { Counts } from './count.ts';
import { enrolFleet, startFleet, type Fleet } from './fleet.ts';
import type { Delay } from './generator.ts';

/** How long a fleet may take to drain before the run goes on without. */
const DRAIN_MS_MAX = 600_000;
const ASK_EVERY_MS = 100;

export type HerdOptions = {
  readonly agents: number;
  readonly generators: number;
  readonly metrics: number;
  readonly everyMs: number;
  /** What the agents' chance follows from. */
  readonly seed: number;
  readonly warmUpMs: number;
  readonly steadyMs: number;
  readonly awayMs: number;
  /** Is told what happens. */
  readonly say: (text: string) => void;
};

export type Herd = {
  readonly steadyMs: readonly [fromMs: number, toMs: number];
  /** From the collector being ready again until all is drained, or the patience is over. */
  readonly recoveryMs: readonly [fromMs: number, toMs: number];
  readonly counts: Counts;
  readonly delays: readonly Delay[];
  /** How long the collector took to answer a small question in both phases: as long as whoever watches waits. */
  readonly askedMs: readonly [steady: readonly number[], recovery: readonly number[]];
  /** The collector's, at both ends of the steady phase, and at both ends of the recovery. */
  readonly usage: readonly [Usage, Usage, Usage, Usage];
  /** The agents', over the steady phase. */
  readonly generatorsCpuMs: number;
  readonly generatorsRssBytes: number;
  readonly balance: Balance;
};

/** A fleet pushes to a collector, which is killed, stays away, and comes back; then the store is compared with it. */
export async function runHerd(options: HerdOptions): Promise<Herd> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-herd-'));
  const data = join(directory, 'data');
  const running: (() => void)[] = [];
  try {
    const first = await startCollector({ data });
    running.push(first.kill);
    const fleet = await openFleet(options, directory, first);
    running.push(fleet.kill);
    const before = await watchSteady(options, fleet, first);
    first.kill();
    await first.exited;
    options.say(`the collector is away for ${options.awayMs / 1_000} s`);
    await sleep(options.awayMs);
    await fleet.recovering();
    const second = await startCollector({ data, port: first.port });
    running.push(second.kill);
    const readyMs = Date.now();
    options.say('the collector is back');
    const usageReady = readUsage(second.pid);
    const [askedMs] = await Promise.all([
      askOften(second.origin, readyMs + options.steadyMs),
      waitForDrain(fleet, options.agents),
    ]);
    const recoveryMs = [readyMs, Date.now()] as const;
    const usageAfter = readUsage(second.pid);
    options.say('stopping the agents');
    const { counts, ledger, delays } = await fleet.stop();
    await second.stop();
    options.say('comparing the store with what the agents took');
    const balance = await checkStore(data, ledger, options.metrics);
    return {
      ...before,
      recoveryMs,
      askedMs: [before.askedMs, askedMs],
      counts,
      delays,
      usage: [...before.usage, usageReady, usageAfter],
      balance,
    };
  } finally {
    for (const end of running) end();
    await rm(directory, { recursive: true });
  }
}

async function openFleet(
  { agents: count, say, ...options }: HerdOptions,
  directory: string,
  collector: RunningCollector,
): Promise<Fleet> {
  const states = join(directory, 'agents');
  await mkdir(states);
  const agents = await enrolFleet({
    collector,
    directory: states,
    count,
    onProgress: (enrolled) => {
      if (enrolled % 500 === 0) say(`${enrolled} hosts have joined`);
    },
  });
  return startFleet({ ...options, agents, url: collector.origin });
}

async function watchSteady(
  { warmUpMs, steadyMs, say }: HerdOptions,
  fleet: Fleet,
  { pid, origin }: RunningCollector,
): Promise<
  Pick<Herd, 'steadyMs' | 'generatorsCpuMs' | 'generatorsRssBytes'> & {
    readonly askedMs: readonly number[];
    readonly usage: [Usage, Usage];
  }
> {
  say(`warming up for ${warmUpMs / 1_000} s`);
  await sleep(warmUpMs);
  say(`watching for ${steadyMs / 1_000} s`);
  const [fromMs, from, usageFrom] = [Date.now(), await fleet.count(), readUsage(pid)];
  const askedMs = await askOften(origin, fromMs + steadyMs);
  const [toMs, to, usageTo] = [Date.now(), await fleet.count(), readUsage(pid)];
  return {
    steadyMs: [fromMs, toMs],
    usage: [usageFrom, usageTo],
    askedMs,
    generatorsCpuMs: to.cpuMs - from.cpuMs,
    generatorsRssBytes: to.rssBytes,
  };
}

async function askOften(origin: string, untilMs: number): Promise<readonly number[]> {
  const tookMs: number[] = [];
  while (Date.now() < untilMs) {
    const fromMs = performance.now();
    await (await fetch(`${origin}/healthz`)).text();
    tookMs.push(performance.now() - fromMs);
    await sleep(ASK_EVERY_MS);
  }
  return tookMs;
}

async function waitForDrain(fleet: Fleet, agents: number): Promise<void> {
  const untilMs = Date.now() + DRAIN_MS_MAX;
  while (Date.now() < untilMs && countDrained(await fleet.count()) < agents) await sleep(1_000);
}

export function countDrained({ returns }: Counts): number {
  return returns.filter(({ drainedMs }) => drainedMs !== null).length;
}
