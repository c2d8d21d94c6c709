import type { Option, Values } from '@muster/proto/options';

import { parseInterval } from '../agent/config.ts';
import { numberOption, runCommand, say, SEED } from './command.ts';
import { rateOf, type Return } from './herd/count.ts';
import { countDrained, runHerd, type Herd, type HerdOptions } from './herd/run.ts';
import { quantile } from './quantile.ts';
import { countIn, describeCounts } from './tally.ts';

const PEAK_RATIO_MAX = 3;
const DRAINED_MS_MAX = 300_000;
/** Of the agents that are live again last, so many are looked into. */
const SLOWEST = 20;

const OPTIONS = {
  agents: numberOption({ help: 'agents', default: 2_000, min: 1 }),
  away: numberOption({ unit: 'SECONDS', help: 'for which the collector is away', default: 60, min: 1 }),
  metrics: numberOption({ help: 'series of each agent', default: 60, min: 1 }),
  interval: {
    placeholder: 'TIME',
    help: 'how often each agent samples (default 5s)',
    default: 5_000,
    parse: parseInterval,
  } satisfies Option<number>,
  seed: SEED,
  warmUp: numberOption({ unit: 'SECONDS', help: 'before anything is counted', default: 20 }),
  steady: numberOption({
    unit: 'SECONDS',
    help: 'that are counted before the collector is killed',
    default: 40,
    min: 10,
  }),
  generators: numberOption({ help: 'processes that the agents run in', default: 3, min: 1 }),
};

async function prove(values: Values<typeof OPTIONS>): Promise<boolean> {
  const { agents, generators, metrics, interval: everyMs, seed, ...seconds } = values;
  const options: HerdOptions = {
    agents,
    generators,
    metrics,
    everyMs,
    seed,
    warmUpMs: 1_000 * seconds.warmUp,
    steadyMs: 1_000 * seconds.steady,
    awayMs: 1_000 * seconds.away,
    say,
  };
  const herd = await runHerd(options);
  console.log(describe(herd, options));
  return isReached(herd, options);
}

function isReached({ balance, steadyMs, recoveryMs, counts }: Herd, { agents }: HerdOptions): boolean {
  const peak = rateOf(counts.requests, recoveryMs, 5).peak / rateOf(counts.requests, steadyMs, 5).peak;
  const drainedMs = Math.max(...counts.returns.map((one) => one.drainedMs ?? Infinity)) - recoveryMs[0];
  const isWhole = balance.lost + balance.duplicated + balance.unknown === 0 && countDrained(counts) === agents;
  return isWhole && peak <= PEAK_RATIO_MAX && drainedMs <= DRAINED_MS_MAX;
}

function describe(herd: Herd, { agents, metrics, everyMs, awayMs }: HerdOptions): string {
  const { counts, balance, recoveryMs } = herd;
  const { returns } = counts;
  const slowest = returns.toSorted((a, b) => b.liveMs - a.liveMs).slice(0, SLOWEST);
  const since = (instants: readonly number[]) => instants.map((atMs) => atMs - recoveryMs[0]);
  return [
    `${agents} agents, ${metrics} series each, every ${everyMs / 1_000} s; collector away ${awayMs / 1_000} s`,
    ...[1, 5].flatMap((bucketSeconds) => describeRates(herd, bucketSeconds)),
    line('tick to answer', describeDelays(herd)),
    line('others are answered', `in the steady phase after ${describeAsked(herd.askedMs[0])}`),
    line('', `in the recovery after ${describeAsked(herd.askedMs[1])}`),
    line('live again after', describeTimes(since(returns.map(({ liveMs }) => liveMs)), agents)),
    line('  all of them', describeReturns(returns, recoveryMs[0])),
    line(`  the slowest ${slowest.length}`, describeReturns(slowest, recoveryMs[0])),
    line('drained after', describeTimes(since(returns.flatMap(({ drainedMs }) => drainedMs ?? [])), agents)),
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

function describeAsked(askedMs: readonly number[]): string {
  const at = (ratio: number) => Math.round(quantile(askedMs, ratio));
  return `p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`;
}

function describeTimes(timesMs: readonly number[], agents: number): string {
  const at = (ratio: number) => `${(quantile(timesMs, ratio) / 1_000).toFixed(1)} s`;
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, all ${at(1)} (${timesMs.length} of ${agents})`;
}

/** Where their time went on average, from the collector's return until they were live again, and what their tries met. */
function describeReturns(returns: readonly Return[], readyMs: number): string {
  const [sum, met] = [{ waiting: 0, connecting: 0, asking: 0 }, new Map<string, number>()];
  for (const { tries } of returns) {
    let freeMs = readyMs;
    for (const { madeMs, sentMs, endedMs, end } of tries.filter((one) => one.endedMs >= readyMs)) {
      const connectedMs = sentMs ?? endedMs;
      sum.waiting += Math.max(0, madeMs - freeMs);
      sum.connecting += Math.max(0, connectedMs - Math.max(readyMs, madeMs));
      sum.asking += endedMs - Math.max(readyMs, connectedMs);
      freeMs = endedMs;
      countIn(met, end);
    }
  }
  const each = (totalMs: number) => `${(totalMs / Math.max(1, returns.length) / 1_000).toFixed(1)} s`;
  return (
    `${each(sum.waiting)} between tries, ${each(sum.connecting)} for a connection, ${each(sum.asking)} for answers; ` +
    `met ${describeCounts(met)}`
  );
}

function describeUsage({ counts, usage, steadyMs, recoveryMs, generatorsCpuMs, generatorsRssBytes }: Herd): string[] {
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
    line(
      'agents',
      `RSS ${mib(generatorsRssBytes)}, cores used steady ${cores(generatorsCpuMs, steadyMs)}; ` +
        `the longest that one of their processes stood still in the recovery ${Math.round(counts.stalledMs)} ms`,
    ),
  ];
}

function line(name: string, text: string): string {
  return `${name.padEnd(22)}${text}`;
}

await runCommand({
  usage: `herd: a fleet pushes to a collector that is killed, stays away and comes back; proves that no sample is lost or there
twice, that requests come at most ${PEAK_RATIO_MAX} times as fast as before, and that all is delivered within ${DRAINED_MS_MAX / 60_000} minutes

  node scripts/herd.ts --agents 2000 --away 60`,
  options: OPTIONS,
  prove,
});
