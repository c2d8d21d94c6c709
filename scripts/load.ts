import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { parseSwitch, type Option, type Values } from '@muster/proto/options';

import { buildPage } from './build-page.ts';
import { durationOption, numberOption, runCommand, say, SEED } from './command.ts';
import { enrolAll } from './enrol.ts';
import { formatTable } from './format-table.ts';
import { findFreePort } from './free-port.ts';
import { checkStore } from './herd/check.ts';
import { watchPages, type Shown, type Watching } from './load/browser.ts';
import type { HostsCounts, HostsOrder, HostsReply, LoadHost } from './load/hosts.ts';
import type { ViewersCounts, ViewersOrder, ViewersReply } from './load/viewers.ts';
import { quantile } from './quantile.ts';
import { countIn, describeCounts } from './tally.ts';
import { readUsage } from './usage.ts';
import { startWatched, type Handles, type LoopDelay, type WatchedCollector } from './watched-collector.ts';
import { startWorker } from './worker-process.ts';

const OPTIONS = {
  hosts: numberOption({ help: 'hosts at the end', default: 1_000, min: 1, max: 50_000 }),
  metrics: numberOption({ help: 'series of each host', default: 60, min: 12, max: 5_000 }),
  interval: durationOption('how often each host samples (default 10s)', 10_000, 1_000),
  viewers: numberOption({ help: 'live sockets at the end', default: 100, max: 50_000 }),
  watched: numberOption({ help: 'hosts that the viewers follow, each its share; 0: all follow the fleet', default: 0 }),
  readers: numberOption({
    help: 'who ask for charts and events, each one question after the other',
    default: 0,
    max: 100,
  }),
  stay: durationOption('how long a viewer stays before it comes anew (default: to the end)', 0, 0),
  steps: numberOption({ help: 'equal steps in which hosts and viewers come to be', default: 4, min: 1, max: 100 }),
  for: durationOption('how long in all (default 2m)', 120_000, 5_000),
  look: durationOption('how often a row of the table is made (default: one a step)', null, 1_000),
  direct: {
    help: 'viewers connect to the live port itself, not through the one port',
    default: false,
    parse: parseSwitch,
  } satisfies Option<boolean>,
  browser: {
    help: 'with a real browser on the fleet and on a host: how long a sample takes to stand there',
    default: false,
    parse: parseSwitch,
  } satisfies Option<boolean>,
  seed: SEED,
};
type Asked = Values<typeof OPTIONS>;

/** A row of the table. */
type Look = {
  readonly seconds: number;
  readonly hosts: HostsCounts;
  readonly viewers: ViewersCounts;
  readonly shown: Shown | null;
  readonly rssBytes: number;
  readonly cores: number;
  readonly hostsCores: number;
  readonly viewersCores: number;
  readonly loop: LoopDelay;
  readonly handles: Handles;
  /** Samples that were acknowledged, of hosts so many. */
  readonly acknowledged: number;
  readonly joined: number;
};

type Fleet = {
  readonly collector: WatchedCollector;
  readonly hosts: ReturnType<typeof startWorker<HostsOrder, HostsReply>>;
  readonly viewers: ReturnType<typeof startWorker<ViewersOrder, ViewersReply>>;
  readonly livePort: number;
};

async function prove(asked: Asked): Promise<boolean> {
  ensureFiles(asked);
  const directory = mkdtempSync(join(tmpdir(), 'muster-load-'));
  const data = join(directory, 'data');
  if (asked.browser) await buildPage(() => say('building the page'));
  const livePort = await findFreePort();
  const collector = await startWatched({ data, livePort });
  const fleet: Fleet = {
    collector,
    livePort: asked.direct ? livePort : collector.port,
    hosts: startWorker(join(import.meta.dirname, 'load/hosts.ts')),
    viewers: startWorker(join(import.meta.dirname, 'load/viewers.ts')),
  };
  try {
    const looks = await ramp(asked, fleet);
    say('ending the generators');
    await fleet.viewers.ask({ kind: 'stop' });
    const ended = await fleet.hosts.ask({ kind: 'stop' });
    if (ended.kind !== 'stopped') throw new Error('The hosts did not end');
    await collector.stop();
    for (const line of formatTable(HEAD, looks.map(formatLook))) console.log(line);
    printSums(looks);
    say('comparing the store with what the hosts took');
    const { taken, stored, lost, duplicated, unknown } = await checkStore(data, ended.ledger, asked.metrics);
    const { waitingTicks, givenUp } = ended.counts;
    console.log(`samples taken           ${taken}
stored                  ${stored}
waiting, given up       ${waitingTicks} ticks, ${givenUp} samples
lost ${lost}, duplicated ${duplicated}, unknown ${unknown}`);
    return lost === 0 && duplicated === 0 && unknown === 0;
  } finally {
    fleet.hosts.kill();
    fleet.viewers.kill();
    collector.kill();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What the collector opens besides connections. */
const FILES_MORE = 2_000;

/** Throws where the collector could not hold so many connections; through the one port a viewer takes three. */
function ensureFiles({ hosts, viewers, direct }: Asked): void {
  const wanted = hosts + viewers * (direct ? 1 : 3) + FILES_MORE;
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const files = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  if (files < wanted)
    throw new Error(
      `Cannot open so many connections: a process may open ${files} files here; run ulimit -n ${wanted} first`,
    );
}

/** Lets hosts and viewers come step by step, and looks. */
async function ramp(asked: Asked, fleet: Fleet): Promise<readonly Look[]> {
  const { collector } = fleet;
  const startedMs = Date.now();
  const looks: Look[] = [];
  const joined: LoadHost[] = [];
  let watching: Watching | null = null;
  try {
    for (let step = 1; step <= asked.steps; step += 1) {
      const names = listNames(joined.length, Math.round((asked.hosts * step) / asked.steps));
      const identities = await enrolAll(collector, names);
      const hosts = names.map((name, i) => {
        const { host, token } = identities.get(name) ?? { host: name, token: '' };
        return { number: joined.length + i, host, token };
      });
      joined.push(...hosts);
      await fleet.hosts.ask({
        kind: 'grow',
        port: collector.port,
        hosts,
        metrics: asked.metrics,
        everyMs: asked.interval,
        seed: asked.seed,
      });
      await fleet.viewers.ask(growViewers(asked, fleet, { joined, step }));
      if (asked.browser)
        watching ??= await watchPages(`${collector.origin}/#key=${collector.key}`, joined[0]?.host ?? '');
      const endMs = startedMs + (asked.for * step) / asked.steps;
      const look = makeLooks(fleet, watching);
      await look(joined.length); // what it took to begin is not told
      while (Date.now() < endMs - 1_000) {
        await sleep(Math.min(asked.look ?? Infinity, endMs - Date.now()));
        const one = await look(joined.length);
        looks.push(one);
        say(
          formatLook(one)
            .map((cell, i) => `${HEAD[i]} ${cell}`)
            .join(', '),
        );
      }
    }
    return looks;
  } finally {
    await watching?.close();
  }
}

function listNames(from: number, to: number): readonly string[] {
  return Array.from({ length: to - from }, (_, i) => `load-${String(from + i).padStart(5, '0')}`);
}

type Growth = { readonly joined: readonly LoadHost[]; readonly step: number };

function growViewers(asked: Asked, { collector, livePort }: Fleet, { joined, step }: Growth): ViewersOrder {
  const from = Math.round((asked.viewers * (step - 1)) / asked.steps);
  const to = Math.round((asked.viewers * step) / asked.steps);
  const watched = joined.slice(0, asked.watched);
  return {
    kind: 'grow',
    port: collector.port,
    livePort,
    key: collector.key,
    topics: Array.from({ length: to - from }, (_, i) => {
      const host = watched[(from + i) % Math.max(1, watched.length)];
      return host === undefined ? 'fleet' : `host/${host.host}`;
    }),
    readers: asked.readers,
    hosts: joined.map(({ host }) => host),
    stayMs: asked.stay,
    seed: asked.seed,
  };
}

/** Each look tells what there was since the one before. */
function makeLooks({ collector, hosts, viewers }: Fleet, watching: Watching | null): (joined: number) => Promise<Look> {
  let last = { atMs: performance.now(), cpuMs: 0, hostsCpuMs: 0, viewersCpuMs: 0, acknowledged: 0 };
  return async (joined) => {
    const [ofHosts, ofViewers, loop] = await Promise.all([
      hosts.ask({ kind: 'count' }),
      viewers.ask({ kind: 'count' }),
      collector.readLoopDelay(),
    ]);
    if (ofHosts.kind !== 'counts' || ofViewers.kind !== 'counts') throw new Error('A generator did not count');
    const usage = readUsage(collector.pid);
    const now = {
      atMs: performance.now(),
      cpuMs: usage.cpuMs,
      hostsCpuMs: ofHosts.counts.cpuMs,
      viewersCpuMs: ofViewers.counts.cpuMs,
      acknowledged: ofHosts.counts.acknowledged,
    };
    const elapsedMs = now.atMs - last.atMs;
    const look = {
      seconds: elapsedMs / 1_000,
      hosts: ofHosts.counts,
      viewers: ofViewers.counts,
      shown: watching === null ? null : await watching.look(ofHosts.counts.marks),
      rssBytes: usage.rssBytes,
      cores: (now.cpuMs - last.cpuMs) / elapsedMs,
      hostsCores: (now.hostsCpuMs - last.hostsCpuMs) / elapsedMs,
      viewersCores: (now.viewersCpuMs - last.viewersCpuMs) / elapsedMs,
      loop,
      handles: collector.readHandles(),
      acknowledged: now.acknowledged - last.acknowledged,
      joined,
    };
    last = now;
    return look;
  };
}

const HEAD = [
  'hosts',
  'samples/s',
  'answer p50/p99 ms',
  'not 200',
  'viewers',
  'messages/s',
  'KB each',
  'live p50/p99 ms',
  'fleet p50/p99 ms',
  'reads/s',
  'read p50/p99 ms',
  'page fleet/host p99 ms',
  'RSS MB',
  'loop p99/max ms',
  'files',
  'threads',
  'parts',
  'cores',
  'generators',
] as const;

function formatLook({ seconds, hosts, viewers, shown, loop, handles, ...look }: Look): readonly string[] {
  const faults = new Map([...hosts.statuses].filter(([status]) => status !== 200));
  const per = (count: number): string => (count / seconds).toFixed(0);
  return [
    `${look.joined}`,
    per(look.acknowledged),
    formatTwo(hosts.answeredMs),
    faults.size === 0 ? '0' : describeCounts(faults),
    `${viewers.open}`,
    per(viewers.messages),
    viewers.messages === 0 ? '-' : (viewers.bytes / viewers.messages / 1_024).toFixed(1),
    formatTwo(viewers.sampleMs),
    formatTwo(viewers.fleetMs),
    per(viewers.readMs.length),
    formatTwo(viewers.readMs),
    shown === null ? '-' : `${quantile(shown.fleetMs, 0.99).toFixed(0)} / ${quantile(shown.hostMs, 0.99).toFixed(0)}`,
    (look.rssBytes / 1e6).toFixed(0),
    `${loop.p99Ms} / ${loop.maxMs}`,
    `${handles.files}`,
    `${handles.threads}`,
    `${handles.parts}`,
    look.cores.toFixed(2),
    `${look.hostsCores.toFixed(2)} + ${look.viewersCores.toFixed(2)}`,
  ];
}

function formatTwo(values: Float64Array): string {
  if (values.length === 0) return '-';
  const all = [...values];
  return `${quantile(all, 0.5).toFixed(0)} / ${quantile(all, 0.99).toFixed(0)}`;
}

/** Of the whole run. */
function printSums(looks: readonly Look[]): void {
  const statuses = new Map<number, number>();
  const ends = new Map<string, number>();
  const reads = new Map<string, number>();
  for (const { hosts, viewers } of looks) {
    for (const [status, times] of hosts.statuses) countIn(statuses, status, times);
    for (const [why, times] of viewers.ends) countIn(ends, why, times);
    for (const [status, times] of viewers.reads) countIn(reads, status, times);
  }
  console.log(`
answers to hosts        ${describeCounts(statuses)}
sockets that ended      ${describeCounts(ends)}
answers to readers      ${describeCounts(reads)}`);
  const fleetMs = looks.flatMap(({ shown }) => shown?.fleetMs ?? []);
  const hostMs = looks.flatMap(({ shown }) => shown?.hostMs ?? []);
  if (fleetMs.length + hostMs.length > 0)
    console.log(`sample to page          fleet: ${describeTimes(fleetMs)}; host: ${describeTimes(hostMs)}`);
  // The first third warms up.
  const steady = looks.slice(Math.floor(looks.length / 3));
  if (steady.length >= 4)
    console.log(
      `RSS slope               ${slopeOf(steady).toFixed(2)} MB a minute over the last ${steady.length} rows`,
    );
}

function describeTimes(values: readonly number[]): string {
  return `${values.length} values, p50 ${quantile(values, 0.5).toFixed(0)}, p99 ${quantile(values, 0.99).toFixed(0)}, at most ${quantile(values, 1).toFixed(0)} ms`;
}

/** Of the line with the least squares, in MB a minute. */
function slopeOf(looks: readonly Look[]): number {
  let minutes = 0;
  const points = looks.map(({ seconds, rssBytes }) => [(minutes += seconds / 60), rssBytes / 1e6] as const);
  const mean = (pick: (point: readonly [number, number]) => number): number =>
    points.reduce((sum, point) => sum + pick(point), 0) / points.length;
  const [x, y] = [mean((point) => point[0]), mean((point) => point[1])];
  return mean((point) => (point[0] - x) * (point[1] - y)) / mean((point) => (point[0] - x) ** 2);
}

await runCommand({
  usage: `load: how many hosts, samples a second and live viewers one collector holds; hosts and viewers are processes of their own, whose cost is in the last column

  node scripts/load.ts --hosts 5000 --for 10m --steps 1 --look 1m
  node scripts/load.ts --hosts 1000 --browser
  node scripts/load.ts --hosts 10 --metrics 20 --viewers 10000 --watched 10
  node scripts/load.ts --hosts 1000 --viewers 200 --watched 20 --readers 2 --stay 30s --steps 1 --for 30m --look 1m`,
  options: OPTIONS,
  prove,
});
