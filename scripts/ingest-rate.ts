import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { parseSwitch, type Option, type Values } from '@muster/proto/options';
import { err, ok } from '@muster/proto/result';

import type { BackupReport } from '../collector/store/backup.ts';
import { DURABILITIES, type Durability } from '../collector/store/durability.ts';
import { openEmbedded } from '../collector/store/embedded.ts';

import { numberOption, runCommand, say } from './command.ts';
import { createEnrolmentToken, enrolHost, ENROLMENTS_AT_ONCE } from './enrol.ts';
import type { RateOrder, RateReply } from './ingest-rate/generator.ts';
import { PEERS, startPeer, type PeerKind } from './ingest-rate/peers.ts';
import { quantile } from './quantile.ts';
import type { RunningCollector } from './start-collector.ts';
import { describeCounts } from './tally.ts';
import { readUsage } from './usage.ts';
import { startWatched } from './watched-collector.ts';

const OPTIONS = {
  hosts: numberOption({ help: 'hosts', default: 1_000, min: 1 }),
  metrics: numberOption({ help: 'series of each host', default: 60, min: 1 }),
  ticks: numberOption({ help: 'ticks in a batch', default: 10, min: 1, max: 100 }),
  seconds: numberOption({ unit: 'S', help: 'how long to send', default: 60, min: 5 }),
  rate: numberOption({ help: 'samples a second in all; 0: as many as are taken', default: 0 }),
  lanes: numberOption({ help: 'requests of each host under way at once', default: 1, min: 1, max: 4 }),
  durability: {
    placeholder: 'MODE',
    help: 'of the collector: process, power-loss, or both, one run after the other (default process)',
    default: ['process'] as readonly Durability[],
    parse: (text: string) =>
      text === 'both'
        ? ok(DURABILITIES)
        : DURABILITIES.some((one) => one === text)
          ? ok([text as Durability])
          : err('process, power-loss or both'),
  } satisfies Option<readonly Durability[]>,
  peers: {
    help: 'the same with Prometheus and VictoriaMetrics, where they are installed',
    default: false,
    parse: parseSwitch,
  } satisfies Option<boolean>,
  backups: numberOption({ help: 'backups made meanwhile, one after the other', default: 0, max: 100 }),
};

/**
 * As many are prepared of what is sent as fast as it is taken, as if so many requests or samples were taken a second: whoever
 * sends in earnest has a machine of its own for that.
 */
const REQUESTS_MAX = 20_000;
const SAMPLES_MAX = 4_000_000;
/** Between two ticks of a host. */
const EVERY_MS = 10_000;
const LOOK_EVERY_MS = 5_000;
/** What is sent lies in the past, so that it can be sent faster than it would come to be. */
const PAST_MS = 20 * 86_400_000;

type Asked = Values<typeof OPTIONS>;

async function prove(options: Asked): Promise<boolean> {
  for (const durability of options.durability) {
    if (options.durability.length > 1) console.log(`\ndurability                ${durability}`);
    await measure(options, durability);
  }
  if (options.peers) for (const kind of PEERS) await measurePeer(options, kind);
  return true;
}

async function measure(options: Asked, durability: Durability): Promise<void> {
  const { hosts, seconds } = options;
  const data = mkdtempSync(join(tmpdir(), 'muster-rate-'));
  const collector = await startWatched({ data, durability });
  try {
    const enrolment = await createEnrolmentToken(collector, hosts);
    const tokens: string[] = [];
    while (tokens.length < hosts) {
      const names = Array.from(
        { length: Math.min(ENROLMENTS_AT_ONCE, hosts - tokens.length) },
        (_, i) => `rate-${tokens.length + i}`,
      );
      const joined = await Promise.all(names.map((name) => enrolHost(collector, name, enrolment)));
      tokens.push(...joined.map(({ token }) => token));
    }
    say(`${hosts} hosts have joined; preparing what they send for ${seconds} s`);
    const order = makeOrder(options, { port: collector.port, hosts: tokens, remoteWritePath: null });
    const looks: string[] = [];
    let backing: Promise<readonly string[]> = Promise.resolve([]);
    const reply = await drive({
      options,
      order,
      onBegin: () => {
        void collector.readLoopDelay(); // what was before is not told
        backing = makeBackups(collector, options.backups, seconds);
      },
      readCpuMs: () => readUsage(collector.pid).cpuMs,
      look: () => {
        const { rssBytes } = readUsage(collector.pid);
        looks.push(`${collector.readHandles().parts} parts, ${(rssBytes / 1e6).toFixed(0)} MB`);
      },
    });
    const { rssBytesMax } = readUsage(collector.pid);
    const loop = await collector.readLoopDelay();
    const backups = await backing;
    await collector.stop();
    console.log(`RSS                       ${(rssBytesMax / 1e6).toFixed(0)} MB at most
event loop held up        p50 ${loop.p50Ms} ms, p99 ${loop.p99Ms} ms, at most ${loop.maxMs} ms
every ${LOOK_EVERY_MS / 1_000} s                 ${looks.join('; ')}`);
    if (backups.length > 0) console.log(`backups meanwhile         ${backups.join('; ')}`);
    const engine = await openEmbedded(data);
    for (const row of await engine.query(
      `SELECT table, count() AS parts, sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts
       WHERE database = 'muster' AND active AND table IN ('arrivals', 'chunks', 'rollup_5m', 'batches') GROUP BY table ORDER BY table`,
    ))
      console.log(
        `${String(row['table']).padEnd(26)}${Number(row['parts'])} parts, ${Number(row['rows'])} rows, ${(Number(row['bytes']) / reply.samples).toFixed(2)} bytes a sample`,
      );
    await engine.close();
  } finally {
    collector.kill();
    rmSync(data, { recursive: true, force: true });
  }
}

/** The same from the same generator, in the language that they speak. */
async function measurePeer(options: Asked, kind: PeerKind): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'muster-rate-'));
  try {
    const peer = await startPeer(kind, directory);
    if (peer === null) {
      console.log(`\n${kind.name} is not installed (${kind.file}): nothing to compare with`);
      return;
    }
    console.log(`\n${kind.name} beside it, which ${kind.promise}`);
    try {
      const hosts = Array.from({ length: options.hosts }, (_, i) => `rate-${i}`);
      const looks: string[] = [];
      await drive({
        options,
        order: makeOrder(options, { port: peer.port, hosts, remoteWritePath: peer.path }),
        onBegin: () => undefined,
        readCpuMs: () => peer.process.usage().cpuMs,
        look: () => void looks.push(`${(peer.process.usage().rssBytes / 1e6).toFixed(0)} MB`),
      });
      console.log(`every ${LOOK_EVERY_MS / 1_000} s                 ${looks.join('; ')}`);
    } finally {
      await peer.process.stop();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function makeOrder(options: Asked, to: Pick<RateOrder, 'port' | 'hosts' | 'remoteWritePath'>): RateOrder {
  const { hosts, metrics, ticks, seconds, rate, lanes } = options;
  return {
    ...to,
    metrics,
    ticks,
    everyMs: EVERY_MS,
    fromMs: Math.floor((Date.now() - PAST_MS) / EVERY_MS) * EVERY_MS,
    seconds,
    sendEveryMs: rate === 0 ? 0 : (1_000 * hosts * lanes * metrics * ticks) / rate,
    lanes,
    prepared:
      rate === 0 ? Math.ceil((seconds * Math.min(REQUESTS_MAX, SAMPLES_MAX / (metrics * ticks))) / (hosts * lanes)) : 0,
  };
}

type Drive = {
  readonly options: Asked;
  readonly order: RateOrder;
  readonly onBegin: () => void;
  /** What the one that is sent to has taken so far. */
  readonly readCpuMs: () => number;
  /** Called now and then meanwhile. */
  readonly look: () => void;
};

/** Lets the generator do what is ordered, and prints what came of it. */
async function drive({
  options: { metrics, ticks, lanes },
  order,
  onBegin,
  readCpuMs,
  look,
}: Drive): Promise<RateReply> {
  const child = fork(join(import.meta.dirname, 'ingest-rate/generator.ts'), {
    execArgv: ['--max-semi-space-size=64'],
    serialization: 'advanced',
  });
  const failed = failOnExit(child);
  child.send(order);
  await Promise.race([once(child, 'message'), failed]);
  onBegin();
  const beforeMs = readCpuMs();
  const startedMs = Date.now();
  child.send('begin');
  const ended = Promise.race([once(child, 'message'), failed]);
  for (let isOver = false; !isOver;) {
    isOver = await Promise.race([ended.then(() => true), sleep(LOOK_EVERY_MS, false)]);
    look();
  }
  const [reply] = (await ended) as [RateReply];
  const elapsedSeconds = (Date.now() - startedMs) / 1_000;
  console.log(`sent for                  ${elapsedSeconds.toFixed(1)} s, ${metrics * ticks} samples a batch, ${lanes} at once of each host
samples acknowledged      ${(reply.samples / elapsedSeconds / 1e6).toFixed(3)} M/s
answers                   ${describeCounts(reply.statuses)}
acknowledged within       p50 ${quantile([...reply.takenMs], 0.5).toFixed(0)} ms, p99 ${quantile([...reply.takenMs], 0.99).toFixed(0)} ms
CPU                       ${((readCpuMs() - beforeMs) / elapsedSeconds / 1_000).toFixed(2)} cores
generator                 ${(reply.cpuMs / elapsedSeconds / 1_000).toFixed(2)} cores, p99 of its stalls ${reply.stalledMs.toFixed(0)} ms`);
  return reply;
}

/** A generator that ends before it has answered never will. */
async function failOnExit(child: ChildProcess): Promise<never> {
  const [code] = (await once(child, 'exit')) as [number | null];
  throw new Error(`The generator ended with ${code}; what it said is above`);
}

/** Makes backups one after the other, beginning a third into the time; says what each came to. */
async function makeBackups(
  { origin, key }: RunningCollector,
  count: number,
  seconds: number,
): Promise<readonly string[]> {
  const made: string[] = [];
  const untilMs = Date.now() + 1_000 * seconds;
  if (count > 0) await sleep((1_000 * seconds) / 3);
  while (made.length < count && Date.now() < untilMs) {
    const response = await fetch(`${origin}/api/v1/store/jobs/backup`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}` },
      body: '{}',
    });
    const last = (await response.text()).trimEnd().split('\n').at(-1) ?? '';
    const { result } = JSON.parse(last) as { result?: BackupReport };
    if (result === undefined) throw new Error(`Cannot back up: ${last}`);
    const { parent, bytes, storeBytes, tookMs } = result;
    made.push(
      `${parent === null ? 'full' : 'incremental'} ${(bytes / 1e6).toFixed(1)} MB of ${(storeBytes / 1e6).toFixed(1)} in ${(tookMs / 1e3).toFixed(1)} s`,
    );
  }
  return made;
}

await runCommand({
  usage: `ingest-rate: sends samples of many hosts to a collector, end to end, and prints how many it takes and how fast it answers

  node scripts/ingest-rate.ts --ticks 1 --lanes 4
  node scripts/ingest-rate.ts --ticks 1 --rate 60000
  node scripts/ingest-rate.ts --ticks 1 --rate 60000 --durability both
  node scripts/ingest-rate.ts --ticks 1 --peers`,
  options: OPTIONS,
  prove,
});
