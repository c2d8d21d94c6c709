import { subscribe } from 'node:diagnostics_channel';
import { join } from 'node:path';

import { makeLog } from '@muster/proto/log';
import { isRecord } from '@muster/proto/record';
import { ok } from '@muster/proto/result';

import { openAgent, type Agent } from '../agent/agent.ts';
import { scheduleTimer } from '../agent/schedule.ts';
import type { Source } from '../agent/source.ts';
import { openSpool, type Parcel, type Spool, type SpoolOptions } from '../agent/spool/spool.ts';
import { countIn, type Counts } from './herd-count.ts';
import { seededRandom } from './random.ts';

/** `stateDirectory` holds the identity of a host that has joined. */
export type HerdAgent = { readonly number: number; readonly host: string; readonly stateDirectory: string };

/** `recovering`: from now on, the first acknowledgement of an agent is its first after the outage. */
export type HerdOrder =
  | {
      readonly kind: 'start';
      readonly url: string;
      readonly agents: readonly HerdAgent[];
      readonly metrics: number;
      readonly everyMs: number;
      readonly seed: number;
    }
  | { readonly kind: 'recovering' | 'count' | 'stop' };

/** When a batch was acknowledged, and how long after its newest tick. */
export type Delay = readonly [atMs: number, delayMs: number];

/** `stopped` brings the ledger, the ticks that every host has taken, and the delays of all batches. */
export type HerdReply =
  | { readonly kind: 'started' | 'recovering' }
  | { readonly kind: 'counts'; readonly counts: Counts }
  | {
      readonly kind: 'stopped';
      readonly counts: Counts;
      readonly ledger: readonly (readonly [host: string, ticksMs: readonly number[]])[];
      readonly delays: readonly Delay[];
    };

type Member = {
  readonly host: string;
  readonly ticksMs: number[];
  spool: Spool | null;
  liveMs: number | null;
  drainedMs: number | null;
};

const requests = new Map<number, number>();
const samples = new Map<number, number>();
const statuses = new Map<number, number>();
const errors = new Map<string, number>();
const delays: Delay[] = [];
const members: Member[] = [];
const agents: Agent[] = [];
let isRecovering = false;

/**
 * Many agents in one process, each with a spool, a token and connections of its own: the real agent, of which only the
 * sources are made up, and the root is an empty directory.
 */
async function start({ url, agents: herd, metrics, everyMs, seed }: HerdOrder & { kind: 'start' }): Promise<void> {
  const log = makeLog((line) => {
    const event: unknown = JSON.parse(line);
    if (isRecord(event) && event['level'] === 'ERROR') countIn(errors, String(event['event']));
  }, Date.now);
  for (const { number, host, stateDirectory } of herd) {
    const random = seededRandom(seed, number);
    const member: Member = { host, ticksMs: [], spool: null, liveMs: null, drainedMs: null };
    members.push(member);
    const root = join(stateDirectory, 'root');
    const config = { url, token: ok(''), stateDirectory, everyMs, name: host, root };
    const parts = {
      makeSources: () => [makeSource(metrics, random)],
      readInventory: async () => ({ arch: 'x64' }),
      openSpool: (options: SpoolOptions) => watchSpool(openSpool(options), member),
    };
    const surroundings = { log, now: Date.now, random, schedule: scheduleTimer };
    agents.push(await openAgent(config, surroundings, parts));
  }
}

function makeSource(metrics: number, random: () => number): Source {
  const names = Array.from({ length: metrics }, (_, i) => `cpu=${i}`);
  return {
    name: 'herd',
    read: async () =>
      ok({ samples: names.map((labels) => ({ metric: 'system.cpu.utilization', labels, value: random() })) }),
  };
}

function watchSpool(spool: Spool, member: Member): Spool {
  return {
    ...spool,
    add: (tick) => {
      member.ticksMs.push(tick.tsMs);
      spool.add(tick);
    },
    settle: (parcel) => {
      spool.settle(parcel);
      countSettled(spool, parcel, member);
    },
  };
}

function countSettled(spool: Spool, { batch }: Parcel, member: Member): void {
  const nowMs = Date.now();
  countIn(samples, Math.floor(nowMs / 1_000), batch.values.length);
  delays.push([nowMs, nowMs - (batch.ticksMs.at(-1) ?? nowMs)]);
  if (!isRecovering) return;
  member.liveMs ??= nowMs;
  const isDrained = (spool.waitingSinceMs() ?? Infinity) >= member.liveMs;
  if (isDrained) member.drainedMs ??= nowMs;
}

function count(): Counts {
  const { user, system } = process.cpuUsage();
  return {
    requests,
    samples,
    statuses,
    errors,
    liveMs: members.flatMap(({ liveMs }) => liveMs ?? []),
    drainedMs: members.flatMap(({ drainedMs }) => drainedMs ?? []),
    cpuMs: (user + system) / 1_000,
    rssBytes: process.memoryUsage.rss(),
  };
}

async function obey(order: HerdOrder): Promise<HerdReply> {
  switch (order.kind) {
    case 'start':
      await start(order);
      return { kind: 'started' };
    case 'recovering':
      isRecovering = true;
      return { kind: 'recovering' };
    case 'count':
      return { kind: 'counts', counts: count() };
    case 'stop':
      await Promise.all(agents.map((agent) => agent.close()));
      return {
        kind: 'stopped',
        counts: count(),
        ledger: members.map(({ host, ticksMs }) => [host, ticksMs] as const),
        delays,
      };
  }
}

// undici's own account: what was written to a connection, and what came back.
subscribe('undici:client:sendHeaders', () => countIn(requests, Math.floor(Date.now() / 1_000)));
subscribe('undici:request:headers', (message) => {
  const response: unknown = isRecord(message) ? message['response'] : null;
  if (isRecord(response)) countIn(statuses, Number(response['statusCode']));
});
process.on('message', (order: HerdOrder) => {
  obey(order).then(
    (reply) => process.send?.(reply),
    (cause: unknown) => {
      console.error(cause);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
