import { formatOptions, parseOptions, type Option } from '@muster/proto/options';
import { err, ok, type Result } from '@muster/proto/result';

import { parseInterval } from '../agent/config.ts';
import { quantile, rateOf } from './herd-count.ts';
import { runHerd, type Herd, type HerdOptions } from './herd-run.ts';

const USAGE = `herd: a fleet pushes to a collector that is killed and comes back; shows how hard it then comes upon it

  node scripts/herd.ts [options]`;

const OPTIONS = {
  agents: count(2_000, 'agents'),
  away: count(60, 'seconds for which the collector is away'),
  metrics: count(60, 'series of each agent'),
  interval: {
    placeholder: 'TIME',
    help: 'how often each agent samples (default 5s)',
    default: 5_000,
    parse: parseInterval,
  } satisfies Option<number>,
  seed: count(7, "what the agents' chance follows from"),
  warmUp: count(20, 'seconds before anything is counted'),
  steady: count(40, 'seconds that are counted before the collector is killed'),
  generators: count(3, 'processes that the agents run in'),
};

function count(byDefault: number, help: string): Option<number> {
  return { placeholder: 'N', help: `${help} (default ${byDefault})`, default: byDefault, parse: parseCount };
}

function parseCount(text: string): Result<number, string> {
  return /^[1-9]\d{0,5}$/.test(text) ? ok(Number(text)) : err('a whole number');
}

/** Exit code 1: a sample was lost, or is there twice, or a figure was not reached. */
async function main(): Promise<number> {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, OPTIONS));
    return 0;
  }
  const parsed = parseOptions(OPTIONS, { argv, env: process.env, readFile: () => '' });
  if (!parsed.ok) {
    for (const fault of parsed.error) console.error(fault);
    return 2;
  }
  const { agents, generators, metrics, interval: everyMs, seed, ...seconds } = parsed.value;
  const options: HerdOptions = {
    agents,
    generators,
    metrics,
    everyMs,
    seed,
    warmUpMs: 1_000 * seconds.warmUp,
    steadyMs: 1_000 * seconds.steady,
    awayMs: 1_000 * seconds.away,
    say: (text) => console.error(`${new Date().toISOString()} ${text}`),
  };
  const herd = await runHerd(options);
  console.log(describe(herd, options));
  return isReached(herd, options) ? 0 : 1;
}

const PEAK_RATIO_MAX = 3;
const DRAINED_MS_MAX = 300_000;

function isReached({ balance, steadyMs, recoveryMs, counts }: Herd, { agents }: HerdOptions): boolean {
  const peak = rateOf(counts.requests, recoveryMs, 5).peak / rateOf(counts.requests, steadyMs, 5).peak;
  const drainedMs = Math.max(...counts.drainedMs) - recoveryMs[0];
  const isWhole = balance.lost + balance.duplicated + balance.unknown === 0 && counts.drainedMs.length === agents;
  return isWhole && peak <= PEAK_RATIO_MAX && drainedMs <= DRAINED_MS_MAX;
}

function describe(herd: Herd, { agents, metrics, everyMs, awayMs }: HerdOptions): string {
  const { counts, balance, recoveryMs } = herd;
  const since = (instants: readonly number[]) => instants.map((atMs) => atMs - recoveryMs[0]);
  return [
    `${agents} agents, ${metrics} series each, every ${everyMs / 1_000} s; collector away ${awayMs / 1_000} s`,
    ...[1, 5].flatMap((bucketSeconds) => describeRates(herd, bucketSeconds)),
    line('tick to answer', describeDelays(herd)),
    line('others are answered', describeAsked(herd)),
    line('live again after', describeTimes(since(counts.liveMs), agents)),
    line('drained after', describeTimes(since(counts.drainedMs), agents)),
    line('answers', describeCounts(counts.statuses)),
    line('errors logged', describeCounts(counts.errors)),
    ...describeUsage(herd),
    line(
      'samples',
      `taken ${balance.taken}, stored ${balance.stored}, lost ${balance.lost}, duplicated ${balance.duplicated}, ` +
        `never taken ${balance.unknown}; arrived twice ${balance.repeated}`,
    ),
  ].join('\n');
}

/** Per second, over buckets of so many. */
function describeRates({ counts, steadyMs, recoveryMs }: Herd, bucketSeconds: number): string[] {
  return (['requests', 'samples'] as const).map((what) => {
    const steady = rateOf(counts[what], steadyMs, bucketSeconds);
    const recovery = rateOf(counts[what], recoveryMs, bucketSeconds);
    const ratio = (to: number) => (recovery.peak / to).toFixed(2);
    return line(
      `${what}/s over ${bucketSeconds} s`,
      `steady mean ${Math.round(steady.mean)}, p50 ${Math.round(steady.p50)}, peak ${Math.round(steady.peak)}; ` +
        `recovery peak ${Math.round(recovery.peak)}: ${ratio(steady.peak)} × steady peak, ${ratio(steady.mean)} × mean`,
    );
  });
}

/** In the steady phase. */
function describeDelays({ delays, steadyMs: [fromMs, toMs] }: Herd): string {
  const steady = delays.filter(([atMs]) => atMs >= fromMs && atMs < toMs).map(([, delayMs]) => delayMs);
  return `p50 ${quantile(steady, 0.5)} ms, p99 ${quantile(steady, 0.99)} ms, longest ${quantile(steady, 1)} ms`;
}

function describeAsked({ askedMs }: Herd): string {
  const at = (ratio: number) => Math.round(quantile(askedMs, ratio));
  return `in the steady phase after p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`;
}

function describeTimes(timesMs: readonly number[], agents: number): string {
  const at = (ratio: number) => `${(quantile(timesMs, ratio) / 1_000).toFixed(1)} s`;
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, all ${at(1)} (${timesMs.length} of ${agents})`;
}

function describeCounts(counts: ReadonlyMap<string | number, number>): string {
  return counts.size === 0 ? 'none' : [...counts].map(([key, times]) => `${key}: ${times}`).join(', ');
}

function describeUsage({ usage, steadyMs, recoveryMs, generatorsCpuMs, generatorsRssBytes }: Herd): string[] {
  const [from, to, ready, after] = usage;
  const cores = (cpuMs: number, [fromMs, toMs]: readonly [number, number]) => (cpuMs / (toMs - fromMs)).toFixed(2);
  const mib = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MiB`;
  return [
    line(
      'collector',
      `RSS steady ${mib(to.rssBytes)}, after the recovery ${mib(after.rssBytes)}, peak ${mib(after.rssBytesMax)}; ` +
        `cores used steady ${cores(to.cpuMs - from.cpuMs, steadyMs)}, ` +
        `in the recovery ${cores(after.cpuMs - ready.cpuMs, recoveryMs)}`,
    ),
    line('agents', `RSS ${mib(generatorsRssBytes)}, cores used steady ${cores(generatorsCpuMs, steadyMs)}`),
  ];
}

function line(name: string, text: string): string {
  return `${name.padEnd(22)}${text}`;
}

process.exitCode = await main();
