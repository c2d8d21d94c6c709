import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { checkStore, type Balance } from './herd-check.ts';
import type { Counts } from './herd-count.ts';
import type { Delay } from './herd-generator.ts';
import { enrolFleet, startFleet, type Fleet } from './herd-fleet.ts';
import { startProgram, type Program } from './program.ts';

/** How long a fleet may take to drain before the run goes on without. */
const DRAIN_MS_MAX = 600_000;
const ASK_EVERY_MS = 100;
/** USER_HZ, which Linux has at 100 on every machine that we run on. */
const TICKS_PER_SECOND = 100;

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

/** What a process took since it was started. */
export type Usage = { readonly cpuMs: number; readonly rssBytes: number; readonly rssBytesMax: number };

export type Herd = {
  readonly steadyMs: readonly [fromMs: number, toMs: number];
  /** From the collector being ready again until all is drained, or the patience is over. */
  readonly recoveryMs: readonly [fromMs: number, toMs: number];
  readonly counts: Counts;
  readonly delays: readonly Delay[];
  /** How long the collector took, over the steady phase, to answer a small question: as long as whoever watches waits. */
  readonly askedMs: readonly number[];
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
    const first = await startCollector(data, '0');
    running.push(() => first.program.kill());
    const { agents, metrics } = options;
    const fleet = await openFleet(options, { directory, url: first.url });
    running.push(fleet.kill);
    const before = await watchSteady(options, { fleet, ...first });
    first.program.kill();
    await first.program.exited;
    options.say(`the collector is away for ${options.awayMs / 1_000} s`);
    await sleep(options.awayMs);
    await fleet.recovering();
    const second = await startCollector(data, first.url.port);
    running.push(() => second.program.kill());
    const readyMs = Date.now();
    options.say('the collector is back');
    const usageReady = await readUsage(second.program);
    await waitForDrain(fleet, agents);
    const recoveryMs = [readyMs, Date.now()] as const;
    const usageAfter = await readUsage(second.program);
    options.say('stopping the agents');
    const { counts, ledger, delays } = await fleet.stop();
    await second.program.stop();
    options.say('comparing the store with what the agents took');
    const balance = await checkStore(data, ledger, metrics);
    return { ...before, recoveryMs, counts, delays, usage: [...before.usage, usageReady, usageAfter], balance };
  } finally {
    for (const end of running) end();
    await rm(directory, { recursive: true });
  }
}

type Started = { readonly program: Program; readonly url: URL };

async function startCollector(data: string, port: string): Promise<Started> {
  const program = startProgram({
    name: 'collector',
    main: join(import.meta.dirname, '../collector/main.ts'),
    args: ['--port', port, '--live-port', '0', '--data', data],
    env: {},
    verbose: false,
  });
  const url = await program.ready;
  if (url === null) throw new Error('The collector does not start; its words are above');
  return { program, url: new URL(url) };
}

async function openFleet(
  { agents: count, say, ...options }: HerdOptions,
  { directory, url }: { readonly directory: string; readonly url: URL },
): Promise<Fleet> {
  const states = join(directory, 'agents');
  await mkdir(states);
  const agents = await enrolFleet({
    origin: url.origin,
    accessKey: url.hash.slice('#key='.length),
    directory: states,
    count,
    onProgress: (enrolled) => {
      if (enrolled % 500 === 0) say(`${enrolled} hosts have joined`);
    },
  });
  return startFleet({ ...options, agents, url: url.origin });
}

async function watchSteady(
  { warmUpMs, steadyMs, say }: HerdOptions,
  { fleet, url, program }: Started & { readonly fleet: Fleet },
): Promise<
  Pick<Herd, 'steadyMs' | 'askedMs' | 'generatorsCpuMs' | 'generatorsRssBytes'> & { readonly usage: [Usage, Usage] }
> {
  say(`warming up for ${warmUpMs / 1_000} s`);
  await sleep(warmUpMs);
  say(`watching for ${steadyMs / 1_000} s`);
  const [fromMs, from, usageFrom] = [Date.now(), await fleet.count(), await readUsage(program)];
  const askedMs = await askOften(url, fromMs + steadyMs);
  const [toMs, to, usageTo] = [Date.now(), await fleet.count(), await readUsage(program)];
  return {
    steadyMs: [fromMs, toMs],
    usage: [usageFrom, usageTo],
    askedMs,
    generatorsCpuMs: to.cpuMs - from.cpuMs,
    generatorsRssBytes: to.rssBytes,
  };
}

async function askOften(url: URL, untilMs: number): Promise<readonly number[]> {
  const tookMs: number[] = [];
  while (Date.now() < untilMs) {
    const fromMs = performance.now();
    await (await fetch(new URL('/healthz', url.origin))).text();
    tookMs.push(performance.now() - fromMs);
    await sleep(ASK_EVERY_MS);
  }
  return tookMs;
}

async function waitForDrain(fleet: Fleet, agents: number): Promise<void> {
  const untilMs = Date.now() + DRAIN_MS_MAX;
  while (Date.now() < untilMs && (await fleet.count()).drainedMs.length < agents) await sleep(1_000);
}

/** Source: proc(5), /proc/pid/stat fields 14 and 15, /proc/pid/status VmRSS and VmHWM. */
async function readUsage({ pid }: Program): Promise<Usage> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const bytesOf = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
  return {
    cpuMs: ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND,
    rssBytes: bytesOf('VmRSS'),
    rssBytesMax: bytesOf('VmHWM'),
  };
}
