import { setTimeout as sleep } from 'node:timers/promises';

import { readAck } from '@muster/proto/push';

import { parseJson } from '../../web/parse-json.ts';
import { seededRandom } from '../random.ts';
import { makeRealisticValue } from '../realistic-value.ts';
import { planFleet, type FleetPlan } from '../simulate/fleet.ts';
import { makeSimulatedHost } from '../simulate/host.ts';
import { openSender, type Sender, type SentCounts } from '../simulate/sender.ts';
import { makeWorld } from '../simulate/world.ts';
import { answerOrders } from '../worker-process.ts';
import { MARK } from './mark.ts';

export type LoadHost = { readonly number: number; readonly host: string; readonly token: string };

export type HostsOrder =
  | {
      readonly kind: 'grow';
      readonly port: number;
      readonly hosts: readonly LoadHost[];
      readonly metrics: number;
      readonly everyMs: number;
      readonly seed: number;
    }
  | { readonly kind: 'count' | 'stop' };

/** Since the last count, but for what is taken, acknowledged and waits, which is in all. */
export type HostsCounts = {
  readonly taken: number;
  readonly acknowledged: number;
  readonly givenUp: number;
  readonly waitingTicks: number;
  readonly statuses: ReadonlyMap<number, number>;
  /** From a request being on its way to its answer. */
  readonly answeredMs: Float64Array;
  /** Of the first hosts: when each took a sample, Unix ms, and its load, which is another each time. */
  readonly marks: readonly Mark[];
  readonly cpuMs: number;
  readonly rssBytes: number;
};

export type Mark = { readonly host: string; readonly load: number; readonly takenMs: number };

/** `stopped` brings the ticks that each host has taken. */
export type HostsReply =
  | { readonly kind: 'grown' }
  | { readonly kind: 'counts'; readonly counts: HostsCounts }
  | { readonly kind: 'stopped'; readonly counts: HostsCounts; readonly ledger: ReadonlyMap<string, readonly number[]> };

/** So many hosts are looked at on the page. */
const MARKED_HOSTS = 20;
const DRAIN_MS = 120_000;

const senders: Sender[] = [];
const ledger = new Map<string, number[]>();
const counts: SentCounts = { taken: 0, acknowledged: 0, givenUp: 0, statuses: new Map() };
const closing = new AbortController();
const running: Promise<void>[] = [];
let answeredMs: number[] = [];
let marks: Mark[] = [];

function grow({ port, hosts, metrics, everyMs, seed }: HostsOrder & { readonly kind: 'grow' }): void {
  const run = Math.floor(seededRandom(seed, Date.now())() * 2 ** 32);
  const last = hosts.reduce((most, { number }) => Math.max(most, number), 0);
  const fleet = planFleet({ seed, hosts: last + 1, services: 0, instances: 0, containers: 0, regions: 6 });
  const nowMs = Date.now();
  const world = makeWorld(fleet, [], { fromMs: nowMs, liveMs: nowMs });
  for (const one of hosts) {
    const random = seededRandom(seed, one.number, 1);
    const source = makeSource(one, { fleet, world, metrics, random, nowMs });
    const member = { everyMs, nextMs: 0 };
    const sender = openSender({
      port,
      token: one.token,
      host: source,
      info: { arch: 'x64', labels: { simulated: 'true' } },
      run,
      random,
      now: Date.now,
      counts,
      onAnswered({ status, body, waitedMs }) {
        answeredMs.push(waitedMs);
        // As an agent does while somebody looks at its host.
        if (status === 200) member.everyMs = readAck(parseJson(body))?.everyMs ?? everyMs;
      },
    });
    senders.push(sender);
    const ticks: number[] = [];
    ledger.set(one.host, ticks);
    running.push(tickOn(member, { sender, source, ticks, delayMs: Math.floor(random() * everyMs), ownMs: everyMs }));
  }
}

type Source = ReturnType<typeof makeSource>;
type Making = {
  readonly fleet: FleetPlan;
  readonly world: ReturnType<typeof makeWorld>;
  readonly metrics: number;
  readonly random: () => number;
  readonly nowMs: number;
};

/** What a host of a simulated fleet says of itself, so many series of it; the last says when. */
function makeSource({ number, host }: LoadHost, { fleet, world, metrics, random, nowMs }: Making) {
  const plan = fleet.hosts[number];
  if (plan === undefined) throw new Error(`There is no host ${number}`);
  const simulated = makeSimulatedHost(plan, fleet, world, nowMs);
  const own = simulated.series.slice(0, metrics - 1);
  const more = Array.from({ length: metrics - 1 - own.length }, (_, i) => makeRealisticValue(i, random));
  const series = [...own, ...more.map((_one, i) => [`load.m${i}`, ''] as const), MARK.series];
  const load = series.findIndex(([metric]) => metric === 'system.cpu.load_average.1m');
  const isMarked = number < MARKED_HOSTS && load >= 0;
  const values = new Float64Array(metrics);
  let taken = 0;
  return {
    series,
    described: [MARK.described],
    read(tMs: number): Float64Array {
      values.set(simulated.read(tMs)?.values.subarray(0, own.length) ?? []);
      for (const [i, next] of more.entries()) values[own.length + i] = next();
      const takenMs = Date.now();
      values[metrics - 1] = takenMs;
      if (isMarked) {
        const one = (taken++ % 9_000) / 100;
        values[load] = one;
        marks.push({ host, load: one, takenMs });
      }
      return values;
    },
  };
}

type Ticking = {
  readonly sender: Sender;
  readonly source: Source;
  readonly ticks: number[];
  readonly delayMs: number;
  readonly ownMs: number;
};

/** At multiples of the interval; where nobody looks each host at its own place in it. */
async function tickOn(member: { everyMs: number }, { sender, source, ticks, delayMs, ownMs }: Ticking): Promise<void> {
  const { signal } = closing;
  let lastMs = 0;
  while (!signal.aborted) {
    const { everyMs } = member;
    const tMs = Math.max(lastMs + 1, Date.now());
    const tickMs = Math.ceil(tMs / everyMs) * everyMs;
    const dueMs = tickMs + (everyMs === ownMs ? delayMs : 0);
    await sleep(dueMs - Date.now(), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    // Whoever waited so long may be late for the ticks in between.
    const tsMs = Math.max(tickMs, Math.floor((Date.now() - (dueMs - tickMs)) / everyMs) * everyMs);
    if (tsMs <= lastMs) continue;
    lastMs = tsMs;
    ticks.push(tsMs);
    sender.add({ tsMs, values: source.read(tsMs), events: [], clockMs: 0, isCutOff: false }, everyMs);
  }
}

function count(): HostsCounts {
  const { user, system } = process.cpuUsage();
  const told = {
    ...counts,
    statuses: new Map(counts.statuses),
    waitingTicks: senders.reduce((sum, sender) => sum + sender.waiting(), 0),
    answeredMs: Float64Array.from(answeredMs),
    marks,
    cpuMs: (user + system) / 1_000,
    rssBytes: process.memoryUsage.rss(),
  };
  counts.statuses.clear();
  answeredMs = [];
  marks = [];
  return told;
}

async function obey(order: HostsOrder): Promise<HostsReply> {
  if (order.kind === 'grow') {
    grow(order);
    return { kind: 'grown' };
  }
  if (order.kind === 'count') return { kind: 'counts', counts: count() };
  closing.abort();
  await Promise.all(running);
  const patience = AbortSignal.timeout(DRAIN_MS);
  await Promise.all(senders.map((sender) => sender.drained(patience)));
  const told = count();
  for (const sender of senders) sender.close();
  return { kind: 'stopped', counts: told, ledger };
}

answerOrders(obey);
