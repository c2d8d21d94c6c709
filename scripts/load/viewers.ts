import { setTimeout as sleep } from 'node:timers/promises';

import { seededRandom } from '../random.ts';
import { countIn } from '../tally.ts';
import { answerOrders } from '../worker-process.ts';
import { listen, type ListeningSocket } from './live-socket.ts';
import { MARK } from './mark.ts';

export type ViewersOrder =
  | {
      readonly kind: 'grow';
      readonly port: number;
      readonly livePort: number;
      readonly key: string;
      /** What each of the new ones follows. */
      readonly topics: readonly string[];
      /** How many ask one question after the other in all. */
      readonly readers: number;
      readonly hosts: readonly string[];
      /** How long each stays before it comes anew; 0: to the end. */
      readonly stayMs: number;
      readonly seed: number;
    }
  | { readonly kind: 'count' | 'stop' };

/** Since the last count. */
export type ViewersCounts = {
  readonly open: number;
  readonly messages: number;
  readonly bytes: number;
  /** From a sample being taken to a follower of its host having it. */
  readonly sampleMs: Float64Array;
  /** From a change of the fleet being told to a follower having it. */
  readonly fleetMs: Float64Array;
  readonly ends: ReadonlyMap<string, number>;
  readonly readMs: Float64Array;
  readonly reads: ReadonlyMap<string, number>;
  readonly cpuMs: number;
  readonly rssBytes: number;
};

export type ViewersReply =
  | { readonly kind: 'grown' | 'stopped' }
  | { readonly kind: 'counts'; readonly counts: ViewersCounts };

/** A collector bears a thousand whom it does not know yet. */
const OPENED_AT_ONCE = 200;
const OPEN_MS_MAX = 10_000;
const AGAIN_MS = 1_000;
const HOUR_MS = 3_600_000;
const RANGES_MS = [HOUR_MS, 24 * HOUR_MS, 7 * 24 * HOUR_MS];
const METRICS = ['system.cpu.utilization', 'system.memory.usage', 'system.network.io', 'system.filesystem.utilization'];

const sockets = new Set<ListeningSocket>();
const closing = new AbortController();
let open = 0;
let messages = 0;
let bytes = 0;
let sampleMs: number[] = [];
let fleetMs: number[] = [];
let readMs: number[] = [];
const ends = new Map<string, number>();
const reads = new Map<string, number>();
let readers = 0;
let viewers = 0;

type Grow = ViewersOrder & { readonly kind: 'grow' };

async function grow(order: Grow): Promise<void> {
  const { topics, seed } = order;
  for (let at = 0; at < topics.length; at += OPENED_AT_ONCE) {
    const opened = topics
      .slice(at, at + OPENED_AT_ONCE)
      .map((topic) => view(order, topic, seededRandom(seed, viewers++)));
    await Promise.race([Promise.all(opened), sleep(OPEN_MS_MAX)]);
  }
  for (; readers < order.readers; readers += 1) void readOn(order, seededRandom(seed, 7, readers));
}

/** Resolves when it listens; comes again when its connection ends. */
function view(order: Grow, topic: string, random: () => number): Promise<void> {
  return new Promise((resolve) => {
    let isOpen = false;
    const socket = listen({
      port: order.livePort,
      key: order.key,
      topic,
      onMessage: note,
      onOpen() {
        isOpen = true;
        open += 1;
        resolve();
        if (order.stayMs > 0) void sleep(order.stayMs * (0.5 + random()), undefined, { ref: false }).then(socket.close);
      },
      onClose(why) {
        sockets.delete(socket);
        if (isOpen) open -= 1;
        if (closing.signal.aborted) return;
        if (why !== '') countIn(ends, why);
        void sleep(why === '' ? 0 : AGAIN_MS * random(), undefined, { ref: false }).then(() =>
          view(order, topic, random),
        );
      },
    });
    sockets.add(socket);
  });
}

const MARK_KEY = Buffer.from(JSON.stringify(MARK.series[0]));
const VALUE_KEY = Buffer.from('"value":');
const FLEET_PATCH = Buffer.from('{"kind":"fleet-patch"');
const HOST_PATCH = Buffer.from('{"kind":"host-patch"');
const NOW_KEY = Buffer.from('"nowMs":');

/** Looks for the one number: to parse all that ten thousand are told would take more than to tell it. */
function note(text: Buffer): void {
  messages += 1;
  bytes += text.length;
  if (startsWith(text, HOST_PATCH)) {
    const mark = text.indexOf(MARK_KEY);
    if (mark >= 0) sampleMs.push(Date.now() - readNumber(text, text.indexOf(VALUE_KEY, mark) + VALUE_KEY.length));
  } else if (startsWith(text, FLEET_PATCH))
    fleetMs.push(Date.now() - readNumber(text, text.indexOf(NOW_KEY) + NOW_KEY.length));
}

function startsWith(text: Buffer, start: Buffer): boolean {
  return text.length >= start.length && text.compare(start, 0, start.length, 0, start.length) === 0;
}

function readNumber(text: Buffer, at: number): number {
  return Number.parseFloat(text.toString('latin1', at, at + 20));
}

/** Asks what a page asks, one question after the other. */
async function readOn({ port, key, hosts }: Grow, random: () => number): Promise<void> {
  const headers = { Authorization: `Bearer ${key}` };
  const draw = <T>(all: readonly T[]): T | undefined => all[Math.floor(random() * all.length)];
  while (!closing.signal.aborted) {
    const host = draw(hosts) ?? '';
    const toMs = Date.now();
    const range = `fromMs=${toMs - (draw(RANGES_MS) ?? 0)}&toMs=${toMs}`;
    const path =
      random() < 0.1
        ? `/api/v1/hosts/${host}/events?${range}`
        : `/api/v1/series?host=${host}&metric=${draw(METRICS)}&${range}`;
    const startedMs = performance.now();
    try {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers, signal: closing.signal });
      await response.arrayBuffer();
      countIn(reads, String(response.status));
    } catch (error) {
      if (!closing.signal.aborted) countIn(reads, error instanceof Error ? error.message : 'failed');
    }
    readMs.push(performance.now() - startedMs);
  }
}

function count(): ViewersCounts {
  const { user, system } = process.cpuUsage();
  const told = {
    open,
    messages,
    bytes,
    sampleMs: Float64Array.from(sampleMs),
    fleetMs: Float64Array.from(fleetMs),
    readMs: Float64Array.from(readMs),
    ends: new Map(ends),
    reads: new Map(reads),
    cpuMs: (user + system) / 1_000,
    rssBytes: process.memoryUsage.rss(),
  };
  [messages, bytes, sampleMs, fleetMs, readMs] = [0, 0, [], [], []];
  ends.clear();
  reads.clear();
  return told;
}

async function obey(order: ViewersOrder): Promise<ViewersReply> {
  if (order.kind === 'count') return { kind: 'counts', counts: count() };
  if (order.kind === 'grow') {
    await grow(order);
    return { kind: 'grown' };
  }
  closing.abort();
  for (const socket of sockets) socket.close();
  return { kind: 'stopped' };
}

answerOrders(obey);
