import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { EventRow } from '../domain/samples.ts';
import { makeArrivalBlock } from '../ingest/columns.ts';
import { DRIVER, openTestStore, type TestStore } from '../test-store.ts';
import { openCompaction } from './compaction.ts';
import { readCompleteness } from './completeness.ts';
import { insertArrivals, insertEvents } from './insert.ts';
import { openVersions } from './rollup.ts';
import type { Engine } from './store.ts';

let engine: Engine;
let close: TestStore['close'];
let hosts = 0;

beforeAll(async () => {
  ({ engine, close } = await openTestStore());
});

afterAll(() => close());

const HOUR_MS = 3_600_000;
/** A multiple of every interval, two hours and some before now. */
const START_MS = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - 3 * HOUR_MS;

type Sent = {
  readonly epoch: number;
  readonly since: number;
  readonly seq: number;
  readonly ticksMs: readonly number[];
  readonly atMs: number;
  readonly everyMs: number;
  readonly quarantined: number;
};

function makeSent(since: number, seq: number, seconds: readonly number[], everyMs: number): Sent {
  const ticksMs = seconds.map((second) => START_MS + second * 1000);
  return { epoch: 1, since, seq, ticksMs, atMs: ticksMs.at(-1) ?? START_MS, everyMs, quarantined: 0 };
}

/** Puts batches of a host of its own, in inserts of at most so many, and gives the host. */
async function put(batches: readonly Sent[], events: readonly Omit<EventRow, 'host'>[], perInsert: number) {
  const host = `web-${(hosts += 1)}`;
  const arrivals = batches.map(({ everyMs, quarantined, atMs, ...batch }) => ({
    host,
    batch: { ...batch, ...(everyMs === 0 ? {} : { everyMs }), sentMs: 0, series: [], values: new Float64Array() },
    quarantined,
    receivedMs: atMs,
  }));
  for (let at = 0; at < arrivals.length; at += perInsert)
    await insertArrivals(engine, makeArrivalBlock(arrivals.slice(at, at + perInsert)), 1);
  await insertEvents(
    engine,
    events.map((event) => ({ ...event, host })),
  );
  return host;
}

/** Compacts what has arrived, and lets the engine merge what that left. */
async function merge(): Promise<void> {
  const compaction = await openCompaction(engine, await openVersions(engine, Date.now));
  await compaction.run();
  await engine.command('OPTIMIZE TABLE batches FINAL');
}

const WIDE = { fromMs: START_MS - HOUR_MS, toMs: START_MS + 4 * HOUR_MS };

test.for([
  ['nothing', [], 0, 0],
  ['one tick', [makeSent(1, 1, [0], 5000)], 1, 1],
  ['every tick', [makeSent(1, 1, [0, 5], 5000), makeSent(2, 2, [10], 5000)], 3, 3],
  ['the same twice', [makeSent(1, 1, [0, 5], 5000), makeSent(1, 1, [0, 5], 5000)], 2, 2],
  ['the same joined anew', [makeSent(1, 2, [0, 5], 5000), makeSent(2, 3, [5, 10], 5000)], 3, 3],
  ['a tick missing', [makeSent(1, 1, [0], 5000), makeSent(2, 2, [10], 5000)], 2, 3],
  [
    'faster, then slower again',
    [makeSent(1, 1, [0, 5, 10], 5000), makeSent(2, 2, [12, 13, 14], 1000), makeSent(3, 3, [15, 20], 5000)],
    8,
    8,
  ],
  ['silence while faster', [makeSent(1, 1, [10, 11], 1000), makeSent(2, 2, [21], 1000)], 3, 12],
  ['silence with the interval changed in it', [makeSent(1, 1, [0, 5], 5000), makeSent(2, 2, [65, 66], 1000)], 4, 15],
  ['an agent that does not say its interval', [makeSent(1, 1, [0], 0), makeSent(2, 2, [1000], 0)], 2, 2],
  ['a restart, another spool', [makeSent(9, 9, [0], 5000), { ...makeSent(1, 1, [5], 5000), epoch: 2 }], 2, 2],
] as const)('readCompleteness() of %s', async ([, batches, received, expected]) => {
  const host = await put(batches, [], 1);
  const { total } = await readCompleteness(engine, { host, ...WIDE });
  expect([total.ticksReceived, total.ticksExpected]).toEqual([received, expected]);
});

test('readCompleteness() counts a missing tick in its own hour, and names the silence', async () => {
  const seconds = (from: number, to: number): number[] =>
    Array.from({ length: (to - from) / 60 }, (_, i) => from + i * 60);
  const host = await put(
    [makeSent(1, 1, seconds(0, 3000), 60_000), makeSent(5, 5, seconds(7800, 9000), 60_000)],
    [],
    2,
  );
  const { hours, silences, silencesCount } = await readCompleteness(engine, { host, ...WIDE });
  expect(hours.map(({ ticksReceived, ticksExpected }) => [ticksReceived, ticksExpected])).toEqual([
    [50, 60],
    [0, 60],
    [20, 30],
  ]);
  expect(hours.map(({ batchesReceived, batchesExpected }) => [batchesReceived, batchesExpected])).toEqual([
    [1, 1],
    [0, 0],
    [1, 4],
  ]);
  const silence = { fromMs: START_MS + 2_940_000, toMs: START_MS + 7_800_000, ticksMissing: 80 };
  expect([silences, silencesCount]).toEqual([[silence], 1]);
});

test('readCompleteness() of numbers that come again with other ticks, of a machine that was set back, survives a merge', async () => {
  const twice = { ...makeSent(3, 3, [], 5000), quarantined: 2 };
  const batches = [
    makeSent(1, 1, [0, 5], 5000),
    makeSent(1, 1, [10, 15], 5000),
    twice,
    { ...twice, atMs: START_MS + HOUR_MS }, // its ticks are out of time, and it arrived again
  ];
  const host = await put(batches, [], 1);
  await merge();
  const { total } = await readCompleteness(engine, { host, ...WIDE });
  const records = { batchesReceived: 2, batchesExpected: 3, dropped: {}, quarantined: 2 };
  expect(total).toEqual({ ticksReceived: 4, ticksExpected: 4, ...records });
});

test('readCompleteness() of numbers as far apart as they can be, over and over, is not less than nothing', async () => {
  const last = Number.MAX_SAFE_INTEGER;
  const ends = Array.from({ length: 1100 }, (_, epoch) => [
    { ...makeSent(0, 0, [0], 5000), epoch },
    { ...makeSent(last, last, [0], 5000), epoch },
  ]);
  const host = await put(ends.flat(), [], 5000);
  const { total } = await readCompleteness(engine, { host, ...WIDE });
  expect([total.batchesReceived, total.batchesExpected / (1100 * 2 ** 53)]).toEqual([2200, 1]);
});

test('readCompleteness() equals a count by hand, whatever came, how often, and in what order', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryHistory(), async ({ batches, events, perInsert, fromMs, toMs, isMerged }) => {
      const host = await put(batches, events, perInsert);
      if (isMerged) await merge();
      const { hours } = await readCompleteness(engine, { host, fromMs, toMs });
      expect(hours).toEqual(countByHand(batches, events, fromMs, toMs));
    }),
    { numRuns: DRIVER === 'server' ? 10 : 60 },
  );
}, 120_000);

/** Some hours of an agent, told as the batches that arrived: some lost, some twice, some joined in several ways. */
function arbitraryHistory() {
  const step = fc.record({
    everyMs: fc.constantFrom(1000, 5000, 60_000, 0),
    ticks: fc.nat({ max: 4 }),
    skipped: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat({ max: 900 })),
    isNewEpoch: fc.nat({ max: 9 }).map((n) => n === 0),
    isLost: fc.nat({ max: 4 }).map((n) => n === 0),
    joined: fc.nat({ max: 3 }),
    times: fc.integer({ min: 1, max: 2 }),
    quarantined: fc.nat({ max: 2 }),
  });
  const event = fc.record({
    kind: fc.constant('gap'),
    tsMs: fc.integer({ min: START_MS - HOUR_MS, max: START_MS + 3 * HOUR_MS }),
    body: fc.constantFrom(
      '{"toMs":1,"dropped":7,"reason":"full"}',
      '{"fromMs":1,"toMs":2,"dropped":3,"reason":"full"}',
      '{"fromMs":2,"toMs":2,"dropped":3,"reason":"full"}',
      '{"toMs":3,"dropped":11,"reason":"age"}',
      '{"toMs":4,"dropped":5}',
    ),
  });
  const offset = fc.integer({ min: -HOUR_MS, max: 3 * HOUR_MS });
  return fc
    .record({
      steps: fc.array(step, { maxLength: 20 }),
      events: fc.array(event, { maxLength: 4 }),
      offsets: fc.tuple(offset, offset),
      perInsert: fc.integer({ min: 1, max: 40 }),
      isMerged: fc.boolean(),
    })
    .chain(({ steps, events, offsets: [one, other], perInsert, isMerged }) =>
      fc.shuffledSubarray(makeBatches(steps), { minLength: makeBatches(steps).length }).map((batches) => ({
        batches,
        events,
        perInsert,
        isMerged,
        fromMs: START_MS + Math.min(one, other),
        toMs: START_MS + Math.max(one, other) + 1,
      })),
    );
}

type Step = {
  readonly everyMs: number;
  readonly ticks: number;
  readonly skipped: number;
  readonly isNewEpoch: boolean;
  readonly isLost: boolean;
  readonly joined: number;
  readonly times: number;
  readonly quarantined: number;
};

/** Each step is a record; unless it is lost it arrives, joined with up to three before it, once or twice. */
function makeBatches(steps: readonly Step[]): Sent[] {
  const batches: Sent[] = [];
  let [atMs, epoch, number] = [START_MS, 1, 0];
  let records: number[][] = [];
  for (const { everyMs, ticks, skipped, isNewEpoch, isLost, joined, times, quarantined } of steps) {
    if (isNewEpoch) [epoch, number, records] = [epoch + 1, 0, []];
    const stepMs = everyMs || 5000;
    atMs = (Math.floor(atMs / stepMs) + skipped) * stepMs;
    const record: number[] = [];
    for (let i = 0; i < ticks; i += 1) record.push((atMs += stepMs));
    records.push(record);
    number += 1;
    if (isLost) continue;
    const since = Math.max(1, number - joined);
    const ticksMs = records.slice(since - 1).flat();
    const batch = { epoch, since, seq: number, ticksMs, atMs: ticksMs.at(-1) ?? atMs, everyMs, quarantined };
    for (let i = 0; i < times; i += 1) batches.push(batch);
  }
  return batches;
}

/** The same figures, from their definition in proto/api.ts, one by one. */
function countByHand(
  batches: readonly Sent[],
  events: readonly Omit<EventRow, 'host'>[],
  fromMs: number,
  toMs: number,
) {
  const hours = new Map<number, ReturnType<typeof makeHour>>();
  const hourOf = (ms: number) => {
    const hourMs = Math.floor(ms / HOUR_MS) * HOUR_MS;
    const hour = hours.get(hourMs) ?? makeHour(hourMs);
    hours.set(hourMs, hour);
    return hour;
  };
  const isIn = (ms: number): boolean => ms >= fromMs && ms < toMs;

  const everyOf = new Map<number, number>();
  for (const { ticksMs, everyMs } of batches)
    for (const tickMs of ticksMs) if (isIn(tickMs)) everyOf.set(tickMs, Math.max(everyOf.get(tickMs) ?? 0, everyMs));
  const ticks = [...everyOf].toSorted(([a], [b]) => a - b);
  for (const [at, [tickMs, everyMs]] of ticks.entries()) {
    hourOf(tickMs).ticksReceived += 1;
    hourOf(tickMs).ticksExpected += 1;
    const [nextMs, nextEveryMs] = ticks[at + 1] ?? [0, 0];
    const stepMs = Math.max(everyMs, nextEveryMs);
    if (stepMs === 0) continue;
    for (let ms = tickMs + stepMs; ms + stepMs <= nextMs; ms += stepMs) hourOf(ms).ticksExpected += 1;
  }

  const told = new Map(batches.filter(({ atMs }) => isIn(atMs)).map((batch) => [JSON.stringify(batch), batch]));
  const records = new Map<number, Map<number, number>>();
  for (const { epoch, since, seq, atMs, quarantined } of told.values()) {
    if (quarantined > 0) hourOf(atMs).quarantined += quarantined;
    const numbers = records.get(epoch) ?? new Map<number, number>();
    records.set(epoch, numbers);
    for (let number = since; number <= seq; number += 1)
      numbers.set(number, Math.min(numbers.get(number) ?? Infinity, atMs));
  }
  for (const numbers of records.values()) {
    let previous: number | null = null;
    for (const [number, atMs] of [...numbers].toSorted(([a], [b]) => a - b)) {
      hourOf(atMs).batchesReceived += 1;
      hourOf(atMs).batchesExpected += previous === null ? 1 : number - previous;
      previous = number;
    }
  }

  const gaps = new Map<string, number>();
  for (const { tsMs, body } of events) if (isIn(tsMs)) gaps.set(body, Math.min(gaps.get(body) ?? Infinity, tsMs));
  for (const [body, tsMs] of gaps) {
    const { dropped, reason = 'unknown' }: { dropped: number; reason?: string } = JSON.parse(body);
    hourOf(tsMs).dropped[reason] = (hourOf(tsMs).dropped[reason] ?? 0) + dropped;
  }
  return [...hours.values()].toSorted((a, b) => a.hourMs - b.hourMs);
}

function makeHour(hourMs: number) {
  const dropped: Record<string, number> = {};
  const ticks = { ticksReceived: 0, ticksExpected: 0 };
  return { hourMs, ...ticks, batchesReceived: 0, batchesExpected: 0, dropped, quarantined: 0 };
}
