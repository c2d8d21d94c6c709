import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { describeError } from '@muster/proto/log';
import { formatOptions, parseOptions, type Option, type Values } from '@muster/proto/options';
import { isRecord } from '@muster/proto/record';
import { err, ok } from '@muster/proto/result';

import {
  makeAgentVictim,
  makeCollectorVictim,
  type AgentVictim,
  type CollectorVictim,
  type Victim,
} from './chaos/fleet.ts';
import { readLedger, type Ledger } from './chaos/ledger.ts';
import { judge, type Verdict } from './chaos/verdict.ts';
import { openFaultProxy, type FaultProxy } from './fault-proxy.ts';
import { drawInteger, seededRandom } from './random.ts';

const USAGE = `chaos: agents and a collector that are killed at random, with a fault proxy between them; then counts samples

  node scripts/chaos.ts --agents 50 --minutes 5`;

const parseNumber = (text: string) => (/^\d{1,6}(\.\d+)?$/.test(text) ? ok(Number(text)) : err('a number'));
const number = (placeholder: string, help: string, value: number) =>
  ({ placeholder, help: `${help} (default ${value})`, default: value, parse: parseNumber }) satisfies Option<number>;

const OPTIONS = {
  agents: number('N', 'agents, a process each', 50),
  minutes: number('TIME', 'how long things are killed', 5),
  kills: number('N', 'kills in that time, a quarter of them of the collector', 75),
  dropReplies: number('RATIO', 'of the replies that are swallowed after the commit', 0.2),
  seed: number('N', 'what is killed when, and what the proxy does, follow from it', 7),
};

/** The faults besides the replies that are dropped; by connection, and an agent keeps its own for long. */
const FAULTS = {
  latencyMs: 1,
  jitterMs: 20,
  cut: 0.1,
  cutBytesMax: 60_000,
  reset: 0.1,
  resetBytesMax: 60_000,
} as const;
const HALF_OPEN = { halfOpen: 0.05, halfOpenBytesMax: 60_000, halfOpenMs: 5_000 } as const;
/** How long everybody gets to deliver what waits when the killing is over: the longest back-off and spread, and some. */
const DRAIN_MS_MAX = 180_000;

/** Exit code 1: something was lost, stored twice or altered. */
async function main(): Promise<number> {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, OPTIONS));
    return 0;
  }
  const options = parseOptions(OPTIONS, { argv, env: process.env, readFile: String });
  if (!options.ok) {
    for (const fault of options.error) console.error(fault);
    return 2;
  }
  const directory = mkdtempSync(join(tmpdir(), 'muster-chaos-'));
  try {
    const isProven = await run(options.value, directory);
    if (isProven) rmSync(directory, { recursive: true });
    else console.log(`Logs, spools and data are left in ${directory}`);
    return isProven ? 0 : 1;
  } catch (cause) {
    console.error(`${describeError(cause)}; logs are left in ${directory}`);
    return 1;
  }
}

async function run(options: Values<typeof OPTIONS>, directory: string): Promise<boolean> {
  const collector = makeCollectorVictim(directory);
  await collector.start();
  const { seed, dropReplies } = options;
  const faults = { dropReplies, ...FAULTS, ...HALF_OPEN };
  const proxy = await openFaultProxy({ upstream: { port: collector.port() }, seed, faults });
  const token = await createToken(collector, options.agents);
  const url = `http://127.0.0.1:${proxy.port}`;
  const agents = Array.from({ length: options.agents }, (_, i) =>
    makeAgentVictim(directory, `chaos-${String(i + 1).padStart(3, '0')}`, { url, token }),
  );
  for (const agent of agents) await agent.start();
  console.log(`${agents.length} agents, seed ${seed}; killing for ${options.minutes} min`);
  const kills = await killAtRandom(options, { agents, collector });
  proxy.setFaults({ dropReplies: 0, cut: 0, reset: 0, halfOpen: 0 });
  const drainedMs = await waitForDelivery(agents);
  const stops = await Promise.all(agents.map((agent) => agent.stop()));
  const stop = await collector.stop();
  await proxy.close();
  const ledgers = new Map(agents.map(({ name, ledger }) => [name, readLedger(ledger)] as const));
  const verdict = await judge(join(directory, 'data'), ledgers, Date.now());
  console.log(`kills                   ${kills.agents} of agents, ${kills.collector} of the collector
faults                  ${describeFaults(proxy)}
all delivered           ${drainedMs === null ? `not within ${DRAIN_MS_MAX / 1000} s` : `${(drainedMs / 1000).toFixed(1)} s after the last kill`}
stop by SIGTERM         agents ${describeStops(stops)}; collector ${describeStops([stop])}
${describeVerdict(verdict)}`);
  return drainedMs !== null && isRight(verdict) && [...stops, stop].every(({ code }) => code === 0);
}

async function createToken(collector: CollectorVictim, hosts: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${collector.port()}/api/v1/enrolment-tokens`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${collector.key()}` },
    body: JSON.stringify({ hosts }),
  });
  const reply: unknown = await response.json();
  if (!isRecord(reply) || typeof reply['token'] !== 'string') throw new Error(`Cannot get a token: ${response.status}`);
  return reply['token'];
}

type Fleet = { readonly agents: readonly AgentVictim[]; readonly collector: CollectorVictim };

/** Kills one after the other, evenly over the time; each comes back after up to three seconds. */
async function killAtRandom({ minutes, kills, seed }: Values<typeof OPTIONS>, { agents, collector }: Fleet) {
  const random = seededRandom(seed, 1);
  const count = { agents: 0, collector: 0 };
  const away = new Map<Victim, Promise<void>>();
  const restart = async (victim: Victim, afterMs: number): Promise<void> => {
    await victim.kill();
    await sleep(afterMs);
    await victim.start();
  };
  for (let kill = 0; kill < kills; kill += 1) {
    const isCollector = random() < 0.25;
    const victim = isCollector ? collector : (agents[drawInteger(random, 0, agents.length - 1)] ?? collector);
    const [waitMs, afterMs] = [random(), random()];
    await sleep((2 * waitMs * minutes * 60_000) / kills);
    await away.get(victim);
    count[isCollector ? 'collector' : 'agents'] += 1;
    away.set(victim, restart(victim, 3_000 * afterMs));
  }
  await Promise.all(away.values());
  return count;
}

/** How long it took until every tick that was taken is acknowledged; null: longer than it may. */
async function waitForDelivery(agents: readonly AgentVictim[]): Promise<number | null> {
  const startedMs = performance.now();
  // What is taken from now on is not waited for.
  const taken = agents.map(({ ledger }) => readLedger(ledger).taken);
  const isDelivered = ({ stored }: Ledger, ticks: ReadonlySet<number>): boolean =>
    [...ticks].every((tick) => stored.has(tick));
  while (performance.now() - startedMs < DRAIN_MS_MAX) {
    if (agents.every(({ ledger }, i) => isDelivered(readLedger(ledger), taken[i] ?? new Set()))) {
      return performance.now() - startedMs;
    }
    await sleep(500);
  }
  return null;
}

function isRight({ lost, lostAcknowledged, duplicated, altered, ticksUntold, rollupWrong, taken }: Verdict): boolean {
  return taken > 0 && lost + lostAcknowledged + duplicated + altered + ticksUntold + rollupWrong === 0;
}

function describeFaults({ stats }: FaultProxy): string {
  const kinds = Object.entries(stats.faults).filter(([, count]) => count > 0);
  return `${stats.replies} replies; ${kinds.map(([kind, count]) => `${kind} ${count}`).join(', ')}`;
}

function describeStops(stops: readonly { readonly code: number | null; readonly tookMs: number }[]): string {
  const slowestMs = Math.max(...stops.map(({ tookMs }) => tookMs));
  return `${stops.filter(({ code }) => code === 0).length} of ${stops.length} in order, the slowest after ${(slowestMs / 1000).toFixed(1)} s`;
}

function describeVerdict(verdict: Verdict): string {
  return `ticks                   ${verdict.ticksSampled} sampled, ${verdict.ticksTaken} known to be taken
samples                 ${verdict.taken} taken, ${verdict.acknowledged} acknowledged, ${verdict.stored} stored (${verdict.rows} rows before merging)
not written at a kill   ${verdict.ticksInGaps} ticks, told as gaps; not told: ${verdict.ticksUntold}
rollup                  ${verdict.rollupRows} rows, ${verdict.rollupWrong} wrong
lost ${verdict.lost} (acknowledged ${verdict.lostAcknowledged}), duplicated ${verdict.duplicated}, altered ${verdict.altered}`;
}

process.exitCode = await main();
