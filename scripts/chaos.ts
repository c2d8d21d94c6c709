import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Values } from '@muster/proto/options';

import {
  openAgentVictim,
  openCollectorVictim,
  type AgentVictim,
  type CollectorVictim,
  type Victim,
} from './chaos/fleet.ts';
import { readLedger, type Ledger } from './chaos/ledger.ts';
import { judge, type Verdict } from './chaos/verdict.ts';
import { numberOption, runCommand, SEED } from './command.ts';
import { createEnrolmentToken } from './enrol.ts';
import { openFaultProxy, type FaultProxy } from './fault-proxy/fault-proxy.ts';
import { drawInteger, seededRandom } from './random.ts';

const OPTIONS = {
  agents: numberOption({ help: 'agents, a process each', default: 50, min: 1, max: 1_000 }),
  minutes: numberOption({ unit: 'MINUTES', help: 'how long things are killed', default: 5, isDecimal: true }),
  kills: numberOption({ help: 'kills in that time, a quarter of them of the collector', default: 75 }),
  dropReplies: numberOption({
    unit: 'RATIO',
    help: 'of the replies that are swallowed after the commit',
    default: 0.2,
    max: 1,
    isDecimal: true,
  }),
  seed: SEED,
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

async function prove(options: Values<typeof OPTIONS>): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), 'muster-chaos-'));
  let isProven = false;
  try {
    isProven = await run(options, directory);
  } finally {
    if (isProven) rmSync(directory, { recursive: true });
    else console.error(`Logs, spools and data are left in ${directory}`);
  }
  return isProven;
}

async function run(options: Values<typeof OPTIONS>, directory: string): Promise<boolean> {
  const collector = await openCollectorVictim(directory);
  const { seed, dropReplies } = options;
  const faults = { dropReplies, ...FAULTS, ...HALF_OPEN };
  const proxy = await openFaultProxy({ upstream: { port: collector.running().port }, seed, faults });
  const token = await createEnrolmentToken(collector.running(), options.agents);
  const url = `http://127.0.0.1:${proxy.port}`;
  const agents = Array.from({ length: options.agents }, (_, i) =>
    openAgentVictim(directory, `chaos-${String(i + 1).padStart(3, '0')}`, { url, token }),
  );
  console.log(`${agents.length} agents, seed ${seed}; killing for ${options.minutes} min`);
  const kills = await killAtRandom(options, { agents, collector });
  proxy.setFaults({ dropReplies: 0, cut: 0, reset: 0, halfOpen: 0 });
  const drainedMs = await waitForDelivery(agents);
  const stops = await Promise.all(agents.map((agent) => agent.stop()));
  const stop = await collector.stop();
  await proxy.close();
  const ledgers = new Map(agents.map(({ name, ledger }) => [name, readLedger(ledger)] as const));
  const verdict = await judge(join(directory, 'data'), ledgers);
  console.log(`kills                   ${kills.agents} of agents, ${kills.collector} of the collector
faults                  ${describeFaults(proxy)}
all delivered           ${drainedMs === null ? `not within ${DRAIN_MS_MAX / 1000} s` : `${(drainedMs / 1000).toFixed(1)} s after the last kill`}
stop by SIGTERM         agents ${describeStops(stops)}; collector ${describeStops([stop])}
${describeVerdict(verdict)}`);
  return drainedMs !== null && isRight(verdict) && [...stops, stop].every(({ code }) => code === 0);
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
  // What is taken from now on is not waited for, but for one tick of each: who was started last has told its gap by then.
  const endedMs = Date.now();
  const taken = agents.map(({ ledger }) => readLedger(ledger).taken);
  const isDelivered = ({ stored }: Ledger, ticks: ReadonlySet<number>): boolean =>
    [...ticks].every((tick) => stored.has(tick)) && [...stored].some((tick) => tick > endedMs);
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
samples                 ${verdict.taken} taken, ${verdict.acknowledged} acknowledged, ${verdict.stored} stored (${verdict.rows} read before they were compacted)
not written at a kill   ${verdict.ticksInGaps} ticks, told as gaps; not told: ${verdict.ticksUntold}
rollup                  ${verdict.rollupRows} rows, ${verdict.rollupWrong} wrong
lost ${verdict.lost} (acknowledged ${verdict.lostAcknowledged}), duplicated ${verdict.duplicated}, altered ${verdict.altered}`;
}

await runCommand({
  usage: `chaos: kills agents and their collector at random, with a fault proxy between them, and counts every sample in the
store; proves that none that an agent took is lost, none is there twice and none is altered

  node scripts/chaos.ts --agents 50 --minutes 5`,
  options: OPTIONS,
  prove,
});
