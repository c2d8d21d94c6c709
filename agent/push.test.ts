import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { openHttpClient } from './http-client.ts';
import type { Exchange } from './clock-offset.ts';
import { openPush } from './push.ts';
import type { RefusedBatch } from './refused.ts';
import { scheduleTimer } from './schedule.ts';
import { openSpool } from './spool/spool.ts';
import { openStandIn, type StandIn } from './testing/collector.ts';
import { makeEvents } from './testing/events.ts';

const opened: { readonly close: () => Promise<unknown> }[] = [];
afterEach(async () => {
  for (const part of opened.splice(0).toReversed()) await part.close();
});

/** A push against a stand-in, whose waits are noted and cut to a hundredth. */
async function start(flushMs = 200_000, authorise: () => Promise<string | null> = async () => 'the-token') {
  const collector = await openStandIn();
  const client = openHttpClient({ url: collector.url }, { keepMs: 70_000, connections: 2 });
  const events = makeEvents();
  const directory = mkdtempSync(join(tmpdir(), 'muster-push-'));
  const limits = { bytesMax: 1e9, memoryBytesMax: 1e9, ageMsMax: Infinity };
  const spool = openSpool({ directory, ...limits, epoch: 1, log: events.log, now: Date.now });
  const refused: RefusedBatch[] = [];
  const exchanges: Exchange[] = [];
  const intervals: (number | null)[] = [];
  const waitsMs: number[] = [];
  const push = openPush({
    client,
    spool,
    run: 4711,
    onExchange: (exchange) => void exchanges.push(exchange),
    keepRefused: (batch) => `refused/${refused.push(batch)}`,
    authorise,
    setEvery: (everyMs) => intervals.push(everyMs),
    deadlineMs: 200,
    flushMs,
    log: events.log,
    now: Date.now,
    random: () => 0.5,
    schedule: (run, delayMs) => {
      if (delayMs !== flushMs) waitsMs.push(delayMs);
      return scheduleTimer(run, delayMs / 100);
    },
  });
  const clean = { close: async () => rmSync(directory, { recursive: true }) };
  opened.push(clean, collector, { close: async () => client.close() }, { close: async () => spool.close() }, push);
  const tick = (second: number) => {
    spool.add({
      tsMs: second * 1_000,
      everyMs: 1_000,
      samples: [{ metric: 'system.uptime', labels: '', value: second }],
    });
    push.wake(second * 1_000);
  };
  return { collector, spool, refused, exchanges, events, intervals, waitsMs, push, tick };
}

function secondsOf({ batches }: StandIn): number[] {
  return batches.flatMap(({ ticksMs }) => ticksMs.map((tsMs) => tsMs / 1_000));
}

test('ticks are pushed every five seconds, with the host token, and settled', async () => {
  const { collector, spool, events, push, tick } = await start();
  for (let second = 1; second <= 10; second += 1) {
    tick(second);
    if (second === 5) await collector.until(() => collector.batches.length === 1);
  }
  await collector.until(() => collector.batches.length === 2);
  await push.close();
  expect(collector.batches.map(({ seq, ticksMs }) => [seq, ticksMs.length])).toEqual([
    [1, 5],
    [2, 5],
  ]);
  expect(collector.requests[0]).toMatchObject({ path: '/api/v1/ingest', authorization: 'Bearer the-token' });
  expect(spool.countWaiting()).toBe(0);
  expect(events.names()).toEqual(['INFO agent.delivered']);
});

test('while the host is watched every tick is pushed at once, until an answer comes without it', async () => {
  const { collector, intervals, push, tick } = await start();
  collector.expect({ kind: 'accept', everyMs: 1_000 }, { kind: 'accept', everyMs: 1_000 });
  for (const [index, second] of [5, 6, 7].entries()) {
    tick(second);
    await expect.poll(() => intervals).toHaveLength(index + 1);
  }
  tick(8);
  await push.close();
  expect(intervals).toEqual([1_000, 1_000, null, null]);
  expect(secondsOf(collector)).toEqual([5, 6, 7, 8]);
});

test.for([
  // what, manner, waits before the same batch is tried again, log
  ['is too busy', { kind: 'answer', status: 503, headers: { 'retry-after': '7' } }, [7_500], 'WARN push.waiting'],
  ['asks for a pause', { kind: 'answer', status: 429, headers: { 'retry-after': '2' } }, [2_500], 'WARN push.waiting'],
  ['does not answer', { kind: 'hang' }, [500], 'WARN push.waiting'],
  ['cuts the connection', { kind: 'cut' }, [500], 'WARN push.waiting'],
  ['loses its answer', { kind: 'lose' }, [500], 'WARN push.waiting'],
  ['does not know the host', { kind: 'answer', status: 401 }, [60_500], 'ERROR push.unauthorised'],
] as const)('a collector that %s gets the batch again', async ([, manner, waits, logged]) => {
  const { collector, events, waitsMs, push, tick } = await start();
  collector.expect(manner);
  tick(5);
  await collector.until(() => collector.requests.length === 2);
  await push.close();
  expect(new Set(secondsOf(collector))).toEqual(new Set([5]));
  expect(new Set(collector.batches.map(({ seq }) => seq))).toEqual(new Set([1]));
  expect(waitsMs).toEqual(waits);
  expect(events.names()).toEqual([logged, 'INFO agent.delivered']);
});

test.for([400, 413])(
  'a batch that is refused with %i is given up and said so; its gap, its events and its inventory are not',
  async (status) => {
    const { collector, spool, refused, events, push, tick } = await start();
    collector.expect({ kind: 'answer', status }, { kind: 'answer', status });
    spool.note({ kind: 'boot', atMs: 1 });
    spool.describe({ arch: 'x64' });
    for (const count of [1, 2]) {
      tick(5 * count);
      await collector.until(() => collector.requests.length === count);
      await expect.poll(() => refused.length).toBe(count);
    }
    tick(15);
    await push.close();
    expect(secondsOf(collector)).toEqual([15]);
    expect(collector.batches[0]).toMatchObject({ events: [] });
    expect(collector.batches[1]).toMatchObject({
      ticksMs: [],
      info: { arch: 'x64' },
      events: [
        { kind: 'boot', atMs: 1 },
        { kind: 'gap', fromMs: 5_000, toMs: 5_000, dropped: 1, reason: 'refused' },
        { kind: 'gap', fromMs: 10_000, toMs: 10_000, dropped: 1, reason: 'refused' },
      ],
    });
    expect(events.names()).toEqual(['ERROR push.refused', 'ERROR push.refused', 'INFO agent.delivered']);
    expect(events.text()).toContain('as the test wants it","seq":1,"samples":1,"ticks":1,"series":1,"events":1');
    expect(spool.countWaiting()).toBe(0);
  },
);

test('a batch on which the collector fails does not hold up the others', async () => {
  const { collector, push, tick } = await start();
  collector.expect({ kind: 'answer', status: 500 });
  tick(5);
  await collector.until(() => collector.requests.length === 1);
  tick(10);
  await collector.until(() => collector.batches.length === 2);
  await push.close();
  expect(secondsOf(collector).toSorted((a, b) => a - b)).toEqual([5, 10]);
});

test('after an outage the newest ticks go before the older ones, and each arrives once', async () => {
  const { collector, push, tick } = await start();
  collector.expect({ kind: 'hang' });
  for (let second = 1; second <= 5; second += 1) tick(second);
  await collector.until(() => collector.requests.length === 1);
  for (let second = 6; second <= 200; second += 1) tick(second);
  await collector.until(() => collector.batches.length === 3);
  await push.close();
  expect(collector.batches.map(({ since, seq, ticksMs }) => [since, seq, ticksMs[0], ticksMs.at(-1)])).toEqual([
    [undefined, 40, 196_000, 200_000],
    [1, 24, 1_000, 120_000],
    [25, 39, 121_000, 195_000],
  ]);
  expect(secondsOf(collector).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
});

test('close() delivers what waits, with the last events', async () => {
  const { collector, spool, push, tick } = await start();
  tick(6);
  tick(7);
  spool.note({ kind: 'shutdown', atMs: 8_000 });
  await push.close();
  expect(secondsOf(collector)).toEqual([7, 6]);
  expect(collector.batches[0]?.events).toEqual([{ kind: 'shutdown', atMs: 8_000 }]);
});

test('close() tries again over a connection of its own when the one that it had is cut', async () => {
  const { collector, spool, push, tick } = await start();
  tick(5);
  await collector.until(() => collector.batches.length === 1);
  collector.expect({ kind: 'cut' });
  tick(6);
  await push.close();
  expect(secondsOf(collector)).toEqual([5, 6]);
  expect(spool.countWaiting()).toBe(0);
});

test.for([
  ['does not answer', { kind: 'hang' }],
  ['does not know the host', { kind: 'answer', status: 401 }],
  ['is too busy', { kind: 'answer', status: 503 }],
] as const)('close() tries once more with a collector that %s, and keeps what waits', async ([, manner]) => {
  const { collector, spool, push, tick } = await start(1e9);
  collector.expect(...Array.from({ length: 100 }, () => manner));
  tick(5);
  await collector.until(() => collector.requests.length === 1);
  await push.close();
  expect(collector.requests.length).toBeLessThanOrEqual(2);
  expect(spool.countWaiting()).toBe(1);
});

test('the backlog goes in smaller parts as long as it does not get through, the newest ticks beside it', async () => {
  const { collector, push, tick } = await start();
  collector.expect({ kind: 'hang' });
  tick(5);
  await collector.until(() => collector.requests.length === 1);
  for (let second = 6; second <= 100; second += 1) tick(second);
  collector.expect({ kind: 'accept' }, { kind: 'answer', status: 504 }, { kind: 'answer', status: 504 });
  await collector.until(() => collector.batches.length >= 2);
  expect(collector.batches[1]?.ticksMs.length).toBeLessThanOrEqual(30);
  await push.close();
  expect(new Set(secondsOf(collector)).size).toBe(96);
});

test('a batch that is refused together with others is found, and only its samples are lost', async () => {
  const { collector, refused, push, tick } = await start();
  collector.expect({ kind: 'hang' });
  tick(5);
  await collector.until(() => collector.requests.length === 1);
  for (const second of [10, 15, 20]) tick(second);
  // The newest, then the three others together, then the first of them alone.
  collector.expect({ kind: 'accept' }, { kind: 'answer', status: 400 }, { kind: 'answer', status: 400 });
  await collector.until(() => collector.batches.some(({ events = [] }) => events.length > 0));
  await push.close();
  expect(secondsOf(collector).toSorted((a, b) => a - b)).toEqual([10, 15, 20]);
  expect(refused).toMatchObject([{ seq: 1, reason: '400: as the test wants it' }]);
});

test('close() does not wait longer than it has time, whatever hangs', async () => {
  const { push } = await start(500, () => new Promise(() => {}));
  await push.close();
  expect(push).toBeDefined();
});

test('a batch is delivered while every thread of the pool hangs', async () => {
  const fifo = join(mkdtempSync(join(tmpdir(), 'muster-')), 'fifo');
  execFileSync('mkfifo', [fifo]);
  const hanging = Array.from({ length: 4 }, () => open(fifo, 'r'));
  const { collector, push, tick } = await start();
  tick(5);
  await collector.until(() => collector.batches.length === 1);
  await push.close();
  const writer = openSync(fifo, constants.O_RDWR); // lets them go
  for (const file of await Promise.all(hanging)) await file.close();
  closeSync(writer);
  expect(secondsOf(collector)).toEqual([5]);
});

test('after the first, batches are told beside the one before, and arrive as they were', async () => {
  const { collector, exchanges, push, tick } = await start();
  for (const second of [5, 10, 15]) {
    tick(second);
    await collector.until(() => collector.batches.length === second / 5);
    await expect.poll(() => exchanges).toHaveLength(second / 5);
  }
  await push.close();
  expect(collector.tellings).toEqual(['full', 'brief', 'brief']);
  expect(secondsOf(collector)).toEqual([5, 10, 15]);
  expect(collector.batches.map(({ values }) => [...values])).toEqual([[5], [10], [15]]);
  expect(collector.batches.map(({ run, everyMs }) => [run, everyMs])).toEqual(
    Array.from({ length: 3 }, () => [4711, 1_000]),
  );
});

test.for([
  ['has been started again', { kind: 'restart' }, 4, ['full', 'full', 'brief']],
  ['is of a version before that', { kind: 'early' }, 4, ['full', 'full', 'full']],
  ['answers with an error', { kind: 'answer', status: 503 }, 4, ['full', 'full', 'brief']],
  ['loses its answer', { kind: 'lose' }, 4, ['full', 'brief', 'full', 'brief']],
] as const)('a collector that %s gets a batch in full, at once', async ([what, manner, requests, tellings]) => {
  const { collector, events, waitsMs, push, tick } = await start();
  tick(5);
  await collector.until(() => collector.batches.length === 1);
  await expect.poll(() => events.names()).toContain('INFO agent.delivered');
  // The earlier version refuses it, and takes it in full.
  collector.expect(...(manner.kind === 'early' ? [manner, manner] : [manner]));
  tick(10);
  await expect.poll(() => collector.tellings.length).toBe(tellings.length - 1);
  await expect.poll(() => collector.requests.length).toBe(requests - 1);
  tick(15);
  await push.close();
  expect(collector.tellings).toEqual(tellings);
  expect(new Set(secondsOf(collector))).toEqual(new Set([5, 10, 15]));
  expect(collector.requests).toHaveLength(requests);
  const isHeldUp = ['answers with an error', 'loses its answer'].includes(what);
  expect(waitsMs.length > 0).toBe(isHeldUp);
  expect(events.names()).toEqual(
    isHeldUp ? ['INFO agent.delivered', 'WARN push.waiting', 'INFO push.recovered'] : ['INFO agent.delivered'],
  );
});
