import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { encodeBrief, makeBasis } from '@muster/proto/basis';
import { INGEST_PATH } from '@muster/proto/push';
import { isRecord } from '@muster/proto/record';

import { createEnrolmentToken } from '../enrol.ts';
import { startObserved, type ObservedProcess, type TreeUsage } from '../observed-process.ts';
import { startCollector } from '../start-collector.ts';
import { until } from '../until.ts';
import { openCountingProxy, type CountingProxy } from './counting-proxy.ts';
import type { Cost } from './figures.ts';
import { scrape, startPeers, type Peer } from './peers.ts';

const HOUR_MS = 3_600_000;
const LOOK_MS = 1_000;

export type CostOptions = {
  /** A binary; null: from the checkout. */
  readonly agent: string | null;
  /** A file; null: none. */
  readonly config: string | null;
  readonly everyMs: number;
  readonly warmUpMs: number;
  readonly measuredMs: number;
  readonly hasPeers: boolean;
  /** Is told what happens. */
  readonly say: (text: string) => void;
};

/** Runs an agent with a collector, and its peers beside it, and says what each took in the same time: the agent first. */
export async function measureCosts(options: CostOptions): Promise<readonly Cost[]> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-agent-cost-'));
  const closing: (() => unknown)[] = [() => rm(directory, { recursive: true, force: true })];
  try {
    const collector = await startCollector({ data: join(directory, 'data') });
    closing.push(collector.stop);
    const proxy = await openCountingProxy(collector.port, INGEST_PATH);
    closing.push(proxy.close);
    const peers = options.hasPeers ? await startPeers(directory, options.say) : [];
    for (const { process } of peers) closing.push(process.stop);
    const agent = await startObserved({
      ...findAgent(options.agent),
      env: {
        MUSTER_URL: `http://127.0.0.1:${proxy.port}`,
        MUSTER_TOKEN: await createEnrolmentToken(collector),
        MUSTER_STATE: join(directory, 'agent'),
        MUSTER_INTERVAL: `${options.everyMs}ms`,
        MUSTER_NAME: 'cost',
        MUSTER_CONFIG: options.config ?? 'none',
      },
    });
    closing.push(agent.stop);
    const firstMs = await until('the first batch', () => {
      if (agent.hasEnded()) throw new Error('Cannot measure the agent: it has ended');
      return proxy.firstAnswerMs();
    });
    options.say(`delivered after ${Math.round(firstMs - agent.startedMs)} ms; warming up`);
    const scraping = new AbortController();
    closing.push(() => scraping.abort());
    const watched = [{ name: 'agent', process: agent, scrapeUrl: null }, ...peers];
    for (const { scrapeUrl } of peers) if (scrapeUrl !== null) void scrapeEvery(scrapeUrl, options, scraping.signal);
    await sleep(options.warmUpMs);
    const costs = await watch(watched, proxy, options);
    const series = await countSeries(collector);
    const [own, ...others] = costs;
    return own === undefined ? [] : [{ ...own, series, firstMs: firstMs - agent.startedMs }, ...others];
  } finally {
    for (const close of closing.toReversed()) await close();
  }
}

function findAgent(file: string | null): { readonly command: string; readonly args: readonly string[] } {
  if (file !== null) return { command: file, args: [] };
  return { command: process.execPath, args: [join(import.meta.dirname, '../../agent/main.ts')] };
}

/** As often as the agent samples. */
async function scrapeEvery(url: string, { everyMs }: CostOptions, signal: AbortSignal): Promise<void> {
  for (let dueMs = performance.now(); !signal.aborted; dueMs += everyMs) {
    await scrape(url);
    await sleep(Math.max(0, dueMs + everyMs - performance.now()), null, { signal, ref: false }).catch(() => null);
  }
}

type Look = { readonly usage: TreeUsage; anonymousBytesMax: number; rssBytesMax: number };

async function watch(peers: readonly Peer[], proxy: CountingProxy, options: CostOptions): Promise<readonly Cost[]> {
  const before = peers.map(({ process }) => look(process));
  for (const { process } of peers) await process.countStarted();
  const traffic = proxy.traffic();
  const startedMs = performance.now();
  options.say(`measuring for ${options.measuredMs / 1_000} s`);
  while (performance.now() - startedMs < options.measuredMs) {
    await sleep(Math.min(LOOK_MS, Math.max(1, startedMs + options.measuredMs - performance.now())));
    for (const [i, { process }] of peers.entries()) {
      const { usage } = look(process);
      const most = before[i];
      if (most === undefined) continue;
      most.anonymousBytesMax = Math.max(most.anonymousBytesMax, usage.anonymousBytes);
      most.rssBytesMax = Math.max(most.rssBytesMax, usage.rssBytes);
    }
  }
  const elapsedMs = performance.now() - startedMs;
  const after = proxy.traffic();
  const costs: Cost[] = [];
  for (const [i, { name, process }] of peers.entries()) {
    if (process.hasEnded()) throw new Error(`Cannot measure ${name}: it has ended`);
    const { usage, ...most } = before[i] ?? look(process);
    const now = look(process).usage;
    const perHour = (bytes: number): number | null => (i === 0 ? (bytes * HOUR_MS) / elapsedMs : null);
    costs.push({
      name,
      cpuPercent: (100 * (now.cpuMs - usage.cpuMs)) / elapsedMs,
      anonymousBytes: now.anonymousBytes,
      rssBytes: now.rssBytes,
      ...most,
      started: await process.countStarted(),
      series: null,
      wireBytes: perHour(after.bytes - traffic.bytes),
      bodyBytes: perHour(after.bodyBytes - traffic.bodyBytes),
      fixedBytes: perHour((after.requests - traffic.requests) * countFixedBytes()),
      firstMs: null,
    });
  }
  return costs;
}

/** What the body of a push takes that says nothing of any series. */
function countFixedBytes(): number {
  const nowMs = Date.now();
  const batch = { epoch: nowMs, seq: 1, sentMs: nowMs, ticksMs: [nowMs], series: [], values: new Float64Array(0) };
  const basis = makeBasis(batch, null, (bytes) => createHash('sha256').update(bytes).digest());
  return encodeBrief({ ...batch, seq: 2 }, basis).byteLength;
}

function look(process: ObservedProcess): Look {
  const usage = process.usage();
  return { usage, anonymousBytesMax: usage.anonymousBytes, rssBytesMax: usage.rssBytes };
}

/** The series that the collector has of the one host there is. */
async function countSeries({ origin, key }: { readonly origin: string; readonly key: string }): Promise<number> {
  const response = await fetch(`${origin}/api/v1/hosts/cost`, { headers: { Authorization: `Bearer ${key}` } });
  const reply: unknown = await response.json();
  if (!isRecord(reply) || !Array.isArray(reply['latest'])) throw new Error('Cannot count the series of the agent');
  return reply['latest'].length;
}
