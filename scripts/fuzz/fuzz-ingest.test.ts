import { afterAll, beforeAll, expect, test } from 'vitest';

import { openTestCollector, type TestCollector } from '../../collector/test-collector.ts';
import { makeFuzzer } from './bodies.ts';
import {
  enrollHosts,
  fuzzIngest,
  openHandlerLane,
  openWireLane,
  type FuzzHosts,
  type FuzzResult,
  type Lane,
} from './fuzz-ingest.ts';

let collector: TestCollector;
let hosts: FuzzHosts;

beforeAll(async () => {
  collector = await openTestCollector();
  hosts = await enrollHosts(collector);
});

afterAll(() => collector.close());

const nowMs = Date.now();

function sum({ counts }: FuzzResult): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}

test.for([
  ['the handler', 95_000, (readToken: () => string) => openHandlerLane(collector.fetch, readToken)],
  ['connections', 5_000, (readToken: () => string) => openWireLane(collector.port, readToken)],
] as const)(
  'broken batches to %s: each is refused, or is none and stored; nothing else comes of it',
  { timeout: 240_000 },
  async ([, count, openLane]) => {
    // An unhandled rejection or a crash fails the run by itself.
    const result = await fuzzIngest({ openLane, hosts, seed: 7, nowMs, from: 0, to: count });
    expect(result.offence).toBeNull();
    expect(sum(result)).toBe(count);
    // Both kinds got as far as the store, or they would not try what is behind the first checks.
    for (const kind of ['mutated', 'structured']) {
      expect(result.counts.get(`${kind} 200`)).toBeGreaterThan(20);
      expect(result.counts.get(`${kind} 429`) ?? 0).toBeLessThan(count / 100);
    }
    // Beside what was there, and beside what was not.
    for (const status of [200, 400, 409]) {
      expect(result.counts.get(`brief ${status}`)).toBeGreaterThan(count / 1_000);
    }
    expect((await fetch(`${collector.origin}/readyz`)).status).toBe(200);
  },
);

test('a lane without an answer is an offence, and the run ends there', async () => {
  const openLane = (): Lane => ({ ask: async () => null, close: () => undefined });
  const result = await fuzzIngest({ openLane, hosts, seed: 7, nowMs, from: 5, to: 1_000_000 });
  expect([result.offence, sum(result)]).toEqual([{ index: 5, status: null }, 200]);
});

test('a request is the same for the same seed, index and time', () => {
  const [one, again, other] = [makeFuzzer(7, nowMs), makeFuzzer(7, nowMs), makeFuzzer(8, nowMs)];
  const of = (fuzzer: ReturnType<typeof makeFuzzer>) => Array.from({ length: 300 }, (_, index) => fuzzer(index));
  expect(of(one)).toEqual(of(again));
  expect(of(other)).not.toEqual(of(one));
});
