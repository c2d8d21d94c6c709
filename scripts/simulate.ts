import { randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { isThisMachine, parseText, type Option, type Values } from '@muster/proto/options';
import { err, ok } from '@muster/proto/result';

import { findKey, TARGET } from '../collector/commands/command.ts';
import { durationOption, numberOption, runCommand, say, SEED } from './command.ts';
import { enrolAll, type Identities } from './enrol.ts';
import { seededRandom } from './random.ts';
import { planFleet, type HostPlan } from './simulate/fleet.ts';
import { makeSimulatedHost, type SimulatedHost } from './simulate/host.ts';
import { planPast, tellPast } from './simulate/past.ts';
import { parseScenarios, SCENARIOS, type ScenarioOrder } from './simulate/scenario.ts';
import { JOINED_TICKS_MAX, openSender, type Sender, type SentCounts } from './simulate/sender.ts';
import { makeWorld, type Incident } from './simulate/world.ts';
import { describeCounts } from './tally.ts';

const { url, data, key } = TARGET;
const OPTIONS = {
  hosts: numberOption({ help: 'hosts', default: 50, min: 1, max: 20_000 }),
  services: numberOption({ help: 'services', default: 6, max: 1_000 }),
  instances: numberOption({ help: 'of all services together, on hosts of the role web', default: 24, max: 100_000 }),
  containers: numberOption({ help: 'of all hosts together', default: 120, max: 200_000 }),
  regions: numberOption({ help: 'regions, each in its own time of day', default: 3, min: 1, max: 100 }),
  interval: durationOption('how often each host samples (default 10s)', 10_000, 1_000),
  seed: SEED,
  backfill: durationOption(
    'how much of the past is told first: every hour, of the last two weeks every five minutes (default none)',
    0,
    0,
  ),
  speed: {
    placeholder: 'Nx',
    help: 'the past is not told at once but passes so many times as fast as time does, sample by sample, as 60x',
    default: null,
    parse: (text) =>
      /^[1-9]\d{0,4}x$/.test(text) ? ok(Number.parseInt(text, 10)) : err('a whole number and x, as 60x'),
  } satisfies Option<number | null>,
  scenario: {
    placeholder: 'LIST',
    help: 'what befalls the fleet, as disk-linear:at=1h:for=6h:count=3,memory-leak, or all; at counts from the end of the past',
    default: [],
    parse: parseScenarios,
  } satisfies Option<readonly ScenarioOrder[]>,
  truth: {
    placeholder: 'FILE',
    help: 'where what befalls whom and when is written, as JSON',
    default: null,
    parse: parseText,
  } satisfies Option<string | null>,
  for: durationOption('ends by itself after this time (default: at Ctrl-C)', null, 1_000),
  url,
  data,
  key,
};
type Asked = Values<typeof OPTIONS>;

const HOUR_MS = 3_600_000;
/** The past that is told as samples has no more than this. */
const TAIL_EVERY_MS = 30_000;
/** The ticks of all hosts are at one time; what they send comes within this. */
const SPREAD_MS = 2_000;
const DRAIN_MS = 15_000;

type Member = {
  /** As the collector calls it. */
  readonly id: string;
  readonly host: SimulatedHost;
  readonly sender: Sender;
  readonly delayMs: number;
};

async function prove(asked: Asked): Promise<boolean> {
  const found = findKey({ ...asked, insecureHttp: false, json: false }, (path) => readFileSync(path, 'utf8'));
  if (!found.ok) throw new Error(found.error.join('; '));
  const collector = { origin: asked.url, key: found.value };
  const port = Number(new URL(asked.url).port || 80);
  if (!asked.url.startsWith('http://') || !isThisMachine(asked.url))
    throw new Error('Cannot simulate there: only a collector of this machine is sent what is not true');
  if (asked.speed !== null && asked.backfill === 0)
    throw new Error('Cannot pass no time faster: say how much of the past with --backfill');
  const fleet = planFleet(asked);
  const liveMs = Math.floor(Date.now() / asked.interval) * asked.interval;
  const fromMs = asked.backfill === 0 ? liveMs : Math.floor((liveMs - asked.backfill) / HOUR_MS) * HOUR_MS;
  const world = makeWorld(fleet, asked.scenario, { fromMs, liveMs });
  const counts: SentCounts = { taken: 0, acknowledged: 0, givenUp: 0, statuses: new Map() };
  const identities = await enrolAll(
    collector,
    fleet.hosts.map(({ name }) => name),
  );
  if (asked.truth !== null) writeTruth(asked.truth, { asked, fromMs, liveMs }, world.incidents, identities);
  const run = randomInt(2 ** 32);
  const members = fleet.hosts.map((plan): Member => {
    const host = makeSimulatedHost(plan, fleet, world, fromMs);
    const random = seededRandom(asked.seed, plan.number, run);
    const { host: id, token } = identities.get(plan.name) ?? { host: '', token: '' };
    const info = describeHost(plan);
    const sender = openSender({ port, token, host, info, run, random, now: Date.now, counts });
    return { id, host, sender, delayMs: Math.floor(random() * Math.min(SPREAD_MS, asked.interval)) };
  });
  const series = members.reduce((sum, { host }) => sum + host.series.length, 0);
  say(`${members.length} hosts have joined, of ${series} series, all with the label simulated=true`);
  const ending = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.removeAllListeners(signal);
    process.once(signal, () => ending.abort());
  }
  process.once('disconnect', () => ending.abort());
  if (asked.backfill > 0 && asked.speed === null)
    await tell(members, {
      fromMs,
      liveMs,
      asked,
      collector: { port, key: found.value },
      counts,
      signal: ending.signal,
    });
  if (asked.for !== null) setTimeout(() => ending.abort(), asked.for).unref();
  const beginMs = asked.speed === null ? liveMs : fromMs;
  await live(members, { beginMs, speed: asked.speed ?? Infinity, everyMs: asked.interval, signal: ending.signal });
  await Promise.all(members.map(({ sender }) => sender.drained(AbortSignal.timeout(DRAIN_MS))));
  const waiting = members.reduce((sum, { sender }) => sum + sender.waiting(), 0);
  for (const { sender } of members) sender.close();
  console.log(`samples found           ${counts.taken}
acknowledged            ${counts.acknowledged}
given up                ${counts.givenUp}
ticks that wait still   ${waiting}
answers                 ${describeCounts(counts.statuses)}`);
  return counts.taken === counts.acknowledged;
}

function describeHost({ cores, memoryBytes, labels }: HostPlan) {
  const texts = {
    os: 'Debian GNU/Linux 12',
    kernel: '6.1.0',
    arch: 'x64',
    cpuModel: 'simulated',
    virtualization: 'simulated',
  };
  return { ...texts, cores, memoryBytes, labels };
}

type Telling = {
  readonly fromMs: number;
  readonly liveMs: number;
  readonly asked: Asked;
  readonly collector: { readonly port: number; readonly key: string };
  readonly counts: SentCounts;
  readonly signal: AbortSignal;
};

/** Tells what was: long ago as rollups have it, then as samples. */
async function tell(
  members: readonly Member[],
  { fromMs, liveMs, asked, collector, counts, signal }: Telling,
): Promise<void> {
  const startedMs = Date.now();
  const { stretches, samplesMs } = planPast(fromMs, liveMs);
  const elapsed = (): string => `${((Date.now() - startedMs) / 1_000).toFixed(1)} s`;
  const onProgress = (share: number): void => say(`${(100 * share).toFixed(0)} % of the past told in ${elapsed()}`);
  const told = await tellPast({ hosts: members, stretches, ...collector, onProgress, signal });
  const everyMs = Math.max(asked.interval, TAIL_EVERY_MS);
  await Promise.all(
    members.map(async ({ host, sender }) => {
      for (let tMs = samplesMs, ticks = 1; tMs < liveMs && !signal.aborted; tMs += everyMs, ticks += 1) {
        const found = host.read(tMs);
        if (found !== null) sender.add({ ...found, isCutOff: false }, everyMs);
        if (ticks % JOINED_TICKS_MAX === 0) await sender.drained(signal);
      }
      await sender.drained(signal);
    }),
  );
  say(
    `${(asked.backfill / 86_400_000).toFixed(1)} days told in ${elapsed()}: ${(told / 1e6).toFixed(1)} M values of rollups, ${(counts.acknowledged / 1e6).toFixed(1)} M samples`,
  );
}

type Live = {
  readonly beginMs: number;
  readonly speed: number;
  readonly everyMs: number;
  readonly signal: AbortSignal;
};

/** From `beginMs` on so many times as fast as the clock, and once it is caught up with, at its pace. */
async function live(members: readonly Member[], { beginMs, speed, everyMs, signal }: Live): Promise<void> {
  const startedMs = Date.now();
  await Promise.all(
    members.map(async ({ host, sender, delayMs }) => {
      for (let tMs = beginMs; !signal.aborted; tMs += everyMs) {
        const pacedMs = startedMs + (tMs - beginMs + delayMs) / speed;
        const waitMs = (tMs < startedMs ? pacedMs : Math.max(pacedMs, tMs + delayMs)) - Date.now();
        if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) return;
        const found = host.read(tMs);
        if (found !== null) sender.add(found, everyMs);
      }
    }),
  );
}

function writeTruth(
  file: string,
  { asked, ...times }: { readonly asked: Asked; readonly fromMs: number; readonly liveMs: number },
  incidents: readonly Incident[],
  identities: Identities,
): void {
  const told = incidents.map((incident) => ({
    ...incident,
    hosts: incident.hosts.map((name) => identities.get(name)?.host ?? name),
    seenOn: incident.seenOn.map((name) => identities.get(name)?.host ?? name),
  }));
  const { seed, hosts } = asked;
  writeFileSync(file, `${JSON.stringify({ seed, hosts, ...times, incidents: told }, null, 2)}\n`);
}

await runCommand({
  usage: `simulate: a fleet that is made up, of hosts, services and containers that send to a collector of this machine as agents do

  node scripts/simulate.ts --data data
  node scripts/simulate.ts --data data --hosts 1000 --services 20 --instances 500 --containers 3000 --regions 6 --interval 30s --backfill 7d
  node scripts/simulate.ts --data data --scenario disk-linear:at=10m:for=6h:count=3,bad-deployment --truth truth.json

Scenarios:
${Object.entries(SCENARIOS)
  .map(([name, about]) => `  ${name.padEnd(20)}${about}`)
  .join('\n')}`,
  options: OPTIONS,
  prove,
});
