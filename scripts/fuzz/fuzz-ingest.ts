import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { formatOptions, parseOptions, parseSwitch, type Option } from '@muster/proto/options';
import { INGEST_PATH } from '@muster/proto/push';
import { err, ok } from '@muster/proto/result';

import { openTestCollector, type TestCollector } from '../collector/test-collector.ts';
import { makeFuzzer, type FuzzRequest } from './fuzz-bodies.ts';
import { openWire } from './wire.ts';

/** Requests under way at once: those of the few that are right wait a quarter of a second for their commit. */
const LANES = 200;
/** Enough hosts for that: one may have four requests under way. */
const HOSTS = LANES / 4;
/**
 * Right, malformed, unknown, too large (and then told to wait), of a wrong type, of too long a header: any other answer
 * is a fault of ours.
 */
const EXPECTED = new Set([200, 400, 401, 413, 415, 429, 431]);

/** One way to the collector for requests one after the other; null where no answer came. */
export type Lane = {
  readonly ask: (request: FuzzRequest) => Promise<number | null>;
  readonly close: () => void;
};

export type FuzzOptions = {
  readonly openLane: (token: string) => Lane;
  /** The hosts that send, as many as `enrollHosts` makes. */
  readonly tokens: readonly string[];
  readonly seed: number;
  readonly nowMs: number;
  /** The first request and the one after the last. */
  readonly from: number;
  readonly to: number;
};

export type FuzzResult = {
  /** How often each status was answered, by kind of request. */
  readonly counts: ReadonlyMap<string, number>;
  /** The first request that was answered as none should be. */
  readonly offence: { readonly index: number; readonly status: number | null } | null;
};

/** Sends requests of a fuzzer to the ingest route of a collector and counts the answers. */
export async function fuzzIngest({ openLane, tokens, seed, nowMs, from, to }: FuzzOptions): Promise<FuzzResult> {
  const fuzzer = makeFuzzer(seed, nowMs);
  const counts = new Map<string, number>();
  let offence: FuzzResult['offence'] = null;
  let next = from;
  const run = async (_: unknown, number: number): Promise<void> => {
    const lane = openLane(tokens[number % tokens.length] ?? '');
    for (let index = next++; index < to && offence === null; index = next++) {
      const request = fuzzer(index);
      const status = await lane.ask(request);
      const key = `${request.kind} ${status ?? 'without an answer'}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      if (status === null || !EXPECTED.has(status)) offence ??= { index, status };
    }
    lane.close();
  };
  await Promise.all(Array.from({ length: LANES }, run));
  return { counts, offence };
}

/** As many hosts as are needed to have all requests under way at once. */
export async function enrollHosts(collector: TestCollector): Promise<readonly string[]> {
  const tokens: string[] = [];
  for (let i = 0; i < HOSTS; i += 1)
    tokens.push((await collector.enroll(`fuzz-${i}`, String(i).padStart(64, '0'))).token);
  return tokens;
}

/** Over a connection of its own, as an agent would. */
export function openWireLane(port: number, token: string): Lane {
  const wire = openWire(port);
  return {
    async ask(request) {
      const lines = Object.entries(makeHeaders(request, token)).map(([name, value]) => `${name}: ${value}`);
      const head = [`POST ${INGEST_PATH} HTTP/1.1`, 'Host: fuzz', `Content-Length: ${request.body.length}`, ...lines];
      const answer = await wire.ask([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), request.body]);
      return answer?.status ?? null;
    },
    close: wire.close,
  };
}

/** Straight to the handler, several times as fast. */
export function openHandlerLane(fetch: (request: Request) => Response | Promise<Response>, token: string): Lane {
  const url = `http://127.0.0.1${INGEST_PATH}`;
  return {
    async ask(request) {
      const body = new Uint8Array(request.body);
      const response = await fetch(new Request(url, { method: 'POST', headers: makeHeaders(request, token), body }));
      return response.status;
    },
    close: () => undefined,
  };
}

function makeHeaders({ token, contentType, contentEncoding }: FuzzRequest, right: string): Record<string, string> {
  return {
    Authorization: `Bearer ${token === 'right' ? right : 'wrong'}`,
    ...(contentType === null ? {} : { 'Content-Type': contentType }),
    ...(contentEncoding === null ? {} : { 'Content-Encoding': contentEncoding }),
  };
}

const USAGE = `fuzz-ingest: sends broken batches to a collector of its own and counts what it answers

  node scripts/fuzz-ingest.ts --count 1000000 --seed 7`;

const parseCount = (digits: string) => (/^\d{1,14}$/.test(digits) ? ok(Number(digits)) : err('a whole number'));
const count = (help: string, byDefault: number) =>
  ({ placeholder: 'NUMBER', help, default: byDefault, parse: parseCount }) satisfies Option<number>;

const OPTIONS = {
  count: count('how many requests (default 1000000)', 1_000_000),
  seed: count('what chance follows from (default 7)', 7),
  from: count('the first of them, to have one again (default 0)', 0),
  now: count('the time of the batches in Unix ms, to have them again (default the time)', 0),
  wire: { help: 'over connections, not straight to the handler', default: false, parse: parseSwitch },
} as const;

async function main(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, OPTIONS));
    return;
  }
  const options = parseOptions(OPTIONS, { argv, env: {}, readFile: String });
  if (!options.ok) {
    for (const fault of options.error) console.error(fault);
    process.exitCode = 2;
    return;
  }
  const { count: total, seed, from, wire } = options.value;
  const nowMs = options.value.now || Date.now();
  const unhandled = countUnhandled();
  const collector = await openTestCollector();
  const tokens = await enrollHosts(collector);
  const openLane = (token: string): Lane =>
    wire ? openWireLane(collector.port, token) : openHandlerLane(collector.fetch, token);
  const counts = new Map<string, number>();
  const startedMs = performance.now();
  for (let tenth = 0; tenth < 10 && process.exitCode === undefined; tenth += 1) {
    const [first, end] = [tenth, tenth + 1].map((one) => from + Math.round((total * one) / 10));
    const result = await fuzzIngest({ openLane, tokens, seed, nowMs, from: first ?? 0, to: end ?? 0 });
    for (const [key, times] of result.counts) counts.set(key, (counts.get(key) ?? 0) + times);
    const done = (end ?? 0) - from;
    console.log(
      `${done} requests, ${Math.round((done * 1000) / (performance.now() - startedMs))}/s, ${describeMemory()}`,
    );
    if (result.offence === null) continue;
    const { index, status } = result.offence;
    console.log(`OFFENCE: ${status ?? 'no answer'}; again: --seed ${seed} --now ${nowMs} --from ${index} --count 1`);
    process.exitCode = 1;
  }
  for (const key of [...counts.keys()].toSorted()) console.log(`${key}: ${counts.get(key)}`);
  console.log(`unhandled rejections and exceptions: ${unhandled()}; seed ${seed}, time ${nowMs}`);
  if (unhandled() > 0) process.exitCode = 1;
  await collector.close();
}

function countUnhandled(): () => number {
  let unhandled = 0;
  for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
    process.on(event, (error: unknown) => {
      unhandled += 1;
      console.error(error);
    });
  }
  return () => unhandled;
}

/** What this process, collector and engine included, holds after the garbage is gone. */
function describeMemory(): string {
  setFlagsFromString('--expose-gc');
  const collectGarbage: unknown = runInNewContext('gc');
  if (typeof collectGarbage === 'function') collectGarbage();
  const { rss, heapUsed, external } = process.memoryUsage();
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  return `RSS ${mib(rss)} (heap ${mib(heapUsed)}, external ${mib(external)})`;
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
