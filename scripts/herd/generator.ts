import { subscribe } from 'node:diagnostics_channel';
import { ClientRequest, IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { makeLog } from '@muster/proto/log';
import { isRecord } from '@muster/proto/record';
import { ok } from '@muster/proto/result';

import { openAgent, type Agent } from '../../agent/agent.ts';
import { scheduleTimer } from '../../agent/schedule.ts';
import type { Source } from '../../agent/source.ts';
import { openSpool, type Parcel, type Spool, type SpoolOptions } from '../../agent/spool/spool.ts';
import type { Identity } from '../../agent/state.ts';
import { seededRandom } from '../random.ts';
import { countIn } from '../tally.ts';
import { answerOrders } from '../worker-process.ts';
import type { Counts, Try } from './count.ts';

/** `stateDirectory` holds the identity of a host that has joined. */
export type HerdAgent = Identity & { readonly number: number; readonly stateDirectory: string };

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
  readonly tries: Try[];
};

const requests = new Map<number, number>();
const samples = new Map<number, number>();
const statuses = new Map<number, number>();
const errors = new Map<string, number>();
const delays: Delay[] = [];
/** By their tokens. */
const members = new Map<string, Member>();
const agents: Agent[] = [];
const stalls = monitorEventLoopDelay();
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
  for (const { number, host, token, stateDirectory } of herd) {
    const random = seededRandom(seed, number);
    const member: Member = { host, ticksMs: [], spool: null, liveMs: null, drainedMs: null, tries: [] };
    members.set(token, member);
    const root = join(stateDirectory, 'root');
    const config = {
      url,
      token: ok(''),
      stateDirectory,
      everyMs,
      name: host,
      root,
      labels: {},
      sources: {},
      checks: [],
      update: null,
    };
    const parts = {
      openSources: async () => [makeSource(metrics, random)],
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
    read: () => ok({ samples: names.map((labels) => ({ metric: 'system.cpu.utilization', labels, value: random() })) }),
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
    returns: [...members.values()].flatMap(({ liveMs, drainedMs, tries }) =>
      liveMs === null ? [] : { liveMs, drainedMs, tries },
    ),
    cpuMs: (user + system) / 1_000,
    rssBytes: process.memoryUsage.rss(),
    stalledMs: stalls.max / 1e6,
  };
}

async function obey(order: HerdOrder): Promise<HerdReply> {
  switch (order.kind) {
    case 'start':
      await start(order);
      return { kind: 'started' };
    case 'recovering':
      isRecovering = true;
      stalls.reset();
      stalls.enable();
      return { kind: 'recovering' };
    case 'count':
      return { kind: 'counts', counts: count() };
    case 'stop':
      await Promise.all(agents.map((agent) => agent.close()));
      return {
        kind: 'stopped',
        counts: count(),
        ledger: [...members.values()].map(({ host, ticksMs }) => [host, ticksMs] as const),
        delays,
      };
  }
}

// Node's own account of what was asked, what got a connection, and what came back.
const underWay = new WeakMap<ClientRequest, { readonly madeMs: number; sentMs: number | null }>();
subscribe('http.client.request.created', (message) => {
  const request = requestOf(message);
  if (request === null) return;
  const times: { readonly madeMs: number; sentMs: number | null } = { madeMs: Date.now(), sentMs: null };
  underWay.set(request, times);
  const sent = (): void => {
    times.sentMs = Date.now();
    countIn(requests, Math.floor(times.sentMs / 1_000));
  };
  request.once('socket', (socket) => (socket.connecting ? socket.once('connect', sent) : sent()));
});
subscribe('http.client.response.finish', (message) => {
  const response: unknown = isRecord(message) ? message['response'] : null;
  if (!(response instanceof IncomingMessage)) return;
  countIn(statuses, response.statusCode ?? 0);
  const { 'retry-after': retryAfter } = response.headers;
  noteTry(message, `${response.statusCode}${retryAfter === undefined ? '' : `, Retry-After ${retryAfter}`}`);
});
subscribe('http.client.request.error', (message) => {
  const error: unknown = isRecord(message) ? message['error'] : null;
  noteTry(message, error instanceof Error && 'code' in error ? String(error.code) : String(error));
});

function requestOf(message: unknown): ClientRequest | null {
  const request: unknown = isRecord(message) ? message['request'] : null;
  return request instanceof ClientRequest ? request : null;
}

/** Keeps what an agent meets until it is live again. */
function noteTry(message: unknown, end: string): void {
  const request = requestOf(message);
  const times = request === null ? undefined : underWay.get(request);
  const [, token = ''] = /Bearer ([\w-]+)/.exec(String(request?.getHeader('authorization'))) ?? [];
  const member = members.get(token);
  if (isRecovering && times !== undefined && member?.liveMs === null)
    member.tries.push({ ...times, endedMs: Date.now(), end });
}

answerOrders(obey);
