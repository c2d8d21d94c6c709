import { INGEST_PATH } from '@muster/proto/push';

import { makeTurns } from '../../collector/store/turns.ts';
import type { TestCollector } from '../../collector/test-collector.ts';
import { countIn } from '../tally.ts';
import { openWire } from '../wire.ts';
import { makeFuzzer, type FuzzRequest } from './bodies.ts';

/** Requests under way at once: those of the few that are right wait a quarter of a second for their commit. */
const LANES = 200;
/** Enough hosts for that: one may have four requests under way. */
const HOSTS = LANES / 4;
/**
 * Right, malformed, unknown, told beside what is not there, too large (and then told to wait), of a wrong type, of too
 * long a header: any other answer is a fault of ours. 403: batches that are right but for their `run` look like two machines with one token.
 */
const EXPECTED = new Set([200, 400, 401, 403, 409, 413, 415, 429, 431]);

/** One way to the collector for requests one after the other; null where no answer came. */
export type Lane = {
  readonly ask: (request: FuzzRequest) => Promise<number | null>;
  readonly close: () => void;
};

/** The hosts that send, of which lanes share one by their number. */
export type FuzzHosts = {
  readonly token: (lane: number) => string;
  /** A host whose token was quarantined enrols anew. */
  readonly renew: (lane: number, quarantined: string) => Promise<void>;
};

export type FuzzOptions = {
  readonly openLane: (readToken: () => string) => Lane;
  readonly hosts: FuzzHosts;
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
export async function fuzzIngest({ openLane, hosts, seed, nowMs, from, to }: FuzzOptions): Promise<FuzzResult> {
  const fuzzer = makeFuzzer(seed, nowMs);
  const counts = new Map<string, number>();
  let offence: FuzzResult['offence'] = null;
  let next = from;
  const run = async (_: unknown, number: number): Promise<void> => {
    const lane = openLane(() => hosts.token(number));
    for (let index = next++; index < to && offence === null; index = next++) {
      const request = fuzzer(index);
      const token = hosts.token(number);
      const status = await lane.ask(request);
      countIn(counts, `${request.kind} ${status ?? 'without an answer'}`);
      if (status === null || !EXPECTED.has(status)) offence ??= { index, status };
      if (status === 403) await hosts.renew(number, token);
    }
    lane.close();
  };
  await Promise.all(Array.from({ length: LANES }, run));
  return { counts, offence };
}

/** As many hosts as are needed to have all requests under way at once. */
export async function enrollHosts(collector: TestCollector): Promise<FuzzHosts> {
  const enroll = async (host: number): Promise<string> =>
    (await collector.enroll(`fuzz-${host}`, String(host).padStart(64, '0'))).token;
  const tokens: string[] = [];
  for (let host = 0; host < HOSTS; host += 1) tokens.push(await enroll(host));
  const token = (lane: number): string => tokens[lane % HOSTS] ?? '';
  const inTurn = makeTurns();
  return {
    token,
    renew: (lane, quarantined) =>
      inTurn(async () => {
        // Of the lanes that share it, another may have been here before.
        if (token(lane) === quarantined) tokens[lane % HOSTS] = await enroll(lane % HOSTS);
      }),
  };
}

/** Over a connection of its own, as an agent would. */
export function openWireLane(port: number, readToken: () => string): Lane {
  const wire = openWire(port);
  return {
    async ask(request) {
      const lines = Object.entries(makeHeaders(request, readToken())).map(([name, value]) => `${name}: ${value}`);
      const head = [`POST ${INGEST_PATH} HTTP/1.1`, 'Host: fuzz', `Content-Length: ${request.body.length}`, ...lines];
      const answer = await wire.ask([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), request.body]);
      return answer?.status ?? null;
    },
    close: wire.close,
  };
}

/** Straight to the handler, several times as fast. */
export function openHandlerLane(
  fetch: (request: Request) => Response | Promise<Response>,
  readToken: () => string,
): Lane {
  const url = `http://127.0.0.1${INGEST_PATH}`;
  return {
    async ask(request) {
      const body = new Uint8Array(request.body);
      const response = await fetch(
        new Request(url, { method: 'POST', headers: makeHeaders(request, readToken()), body }),
      );
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
