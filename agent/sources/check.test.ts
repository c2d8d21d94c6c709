import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makeClock } from '../testing/clock.ts';
import { findSampleFault } from '../testing/fixture.ts';
import { makeHttpProbe } from '../testing/probes.ts';
import { makeCheckSource } from './check.ts';
import type { Check, Failure, Outcome } from './checks/check.ts';

const REFUSED: Failure = { type: 'refused', words: 'the connection was refused' };
const TIMEOUT: Failure = { type: 'timeout', words: 'over 5 s while connecting' };

function makeCheck(name: string, everyMs = 30_000): Check {
  const probe = { kind: 'tcp', address: { host: 'db.internal', port: 5432 }, family: 0 } as const;
  return { name, service: name, everyMs, timeoutMs: 1_000, probe };
}

function makeOutcome(failure: Failure | null): Outcome {
  return { failure, durationMs: 1.5, phasesMs: new Map([['connect', 1.25]]), statusCode: null, expiresMs: null };
}

/** A source whose runs last `lastingMs` and end as the outcomes say, one after the other; the last one stays. */
function open(checks: readonly Check[], { lastingMs = 10, failures = [null] as readonly (Failure | null)[] } = {}) {
  const clock = makeClock(1_000_000);
  const startedMs: number[] = [];
  let under = 0;
  let most = 0;
  const source = makeCheckSource({
    checks,
    salt: 'web-1',
    root: '/',
    now: clock.now,
    nowMs: clock.now,
    schedule: clock.schedule,
    runProbe: (_probe, { closing }) => {
      const outcome = makeOutcome(failures[Math.min(startedMs.length, failures.length - 1)] ?? null);
      startedMs.push(clock.now());
      under += 1;
      most = Math.max(most, under);
      return new Promise((resolve) => {
        const end = () => {
          under -= 1;
          resolve(outcome);
        };
        closing.addEventListener('abort', end, { once: true });
        clock.schedule(end, lastingMs);
      });
    },
  });
  const read = async () => {
    const reading = await source.read();
    if (!reading.ok) throw new Error(reading.error);
    const { samples, remark = '', events = [] } = reading.value;
    expect(samples.map(findSampleFault).filter(Boolean)).toEqual([]);
    const values = Object.fromEntries(samples.map(({ metric, labels, value }) => [`${metric}{${labels}}`, value]));
    return {
      values,
      remark,
      events: events.map((event) => ('subject' in event ? `${event.kind} ${event.subject}` : '')),
    };
  };
  return { clock, source, read, startedMs, most: () => most };
}

const DB = 'check.kind=tcp,check.name=db,service.name=db';

test('a check runs at its own pace, and a reading hands out what has ended, once', async () => {
  const { clock, read, startedMs } = open([makeCheck('db')]);
  expect((await read()).values).toEqual({});
  await clock.advance(30_000);
  expect(startedMs).toHaveLength(1);
  expect((await read()).values).toEqual({
    [`muster.check.up{${DB}}`]: 1,
    [`muster.check.runs{${DB}}`]: 1,
    [`muster.check.failures{${DB}}`]: 0,
    [`muster.check.duration{${DB}}`]: 0.0015,
    [`muster.check.duration{check.kind=tcp,check.name=db,check.phase=connect,service.name=db}`]: 0.00125,
  });
  expect((await read()).values).toEqual({});
  await clock.advance(90_000);
  expect(startedMs.slice(1).map((ms, i) => ms - (startedMs[i] ?? 0))).toEqual([30_000, 30_000, 30_000]);
  expect((await read()).values).toMatchObject({ [`muster.check.runs{${DB}}`]: 4 });
});

test('failures are counted, by reason from 0 on, and told as events and in the remark', async () => {
  const { clock, read } = open([makeCheck('db')], { failures: [null, REFUSED, REFUSED, TIMEOUT, null] });
  const all = `muster.check.failures{${DB}}`;
  const by = (type: string) => `muster.check.failures{check.kind=tcp,check.name=db,error.type=${type},service.name=db}`;
  const seen: unknown[] = [];
  for (let i = 0; i < 5; i += 1) {
    await clock.advance(30_000);
    const { values, remark, events } = await read();
    seen.push([
      values[`muster.check.up{${DB}}`],
      values[all],
      values[by('refused')],
      values[by('timeout')],
      remark,
      events,
    ]);
  }
  expect(seen).toEqual([
    [1, 0, undefined, undefined, '', []],
    [0, 1, 0, undefined, 'down: db (the connection was refused)', ['check-down db: the connection was refused']],
    [0, 2, 2, undefined, 'down: db (the connection was refused)', []],
    [0, 3, 2, 0, 'down: db (over 5 s while connecting)', []],
    [1, 3, 2, 1, '', ['check-up db: up again, after 3 runs that failed']],
  ]);
});

test('a check never overlaps itself, and waits for no run that it missed', async () => {
  const { clock, startedMs, most } = open([makeCheck('db', 1_000)], { lastingMs: 3_500 });
  await clock.advance(21_000);
  expect(most()).toBe(1);
  expect(new Set(startedMs.slice(1).map((ms, i) => ms - (startedMs[i] ?? 0)))).toEqual(new Set([4_000]));
});

test('checks are spread over their interval, bounded in number at a time, and all have their turn', async () => {
  const checks = Array.from({ length: 200 }, (_, i) => makeCheck(`db-${i}`));
  const quick = open(checks);
  await quick.clock.advance(30_000);
  expect(quick.startedMs).toHaveLength(200);
  const tenths = quick.startedMs.map((ms) => Math.floor((ms - 1_000_000) / 3_000));
  expect(new Set(tenths).size).toBe(10);
  const slow = open(checks, { lastingMs: 5_000 });
  await slow.clock.advance(100_000);
  expect(slow.most()).toBe(16);
  expect(Object.keys((await slow.read()).values).filter((key) => key.startsWith('muster.check.up'))).toHaveLength(200);
});

test('a host that loses its network tells so in more than one reading, and names few in the remark', async () => {
  const checks = Array.from({ length: 50 }, (_, i) => makeCheck(`db-${i}`));
  const { clock, read } = open(checks, { failures: [REFUSED] });
  await clock.advance(35_000);
  const first = await read();
  const told = [first, await read(), await read(), await read()].map(({ events }) => events.length);
  expect(told).toEqual([20, 20, 10, 0]);
  expect(first.remark).toMatch(/^down: db-0 \(the connection was refused\); .*; and 45 more$/);
});

test('settle() looks at all of them at once, and the findings say what was seen', async () => {
  const { clock, source, read } = open([makeCheck('db', 3_600_000), makeCheck('web', 3_600_000)], {
    failures: [REFUSED, null],
  });
  expect(await source.diagnose?.()).toMatchObject([
    { what: 'db (tcp db.internal:5432): has not been looked at yet' },
    {},
  ]);
  const settled = source.settle?.();
  await clock.advance(10);
  await settled;
  expect(Object.keys((await read()).values)).toContain(`muster.check.up{${DB}}`);
  expect(await source.diagnose?.()).toEqual([
    {
      what: 'db (tcp db.internal:5432): down: the connection was refused',
      next: 'nothing listens there: is the service running, and is the port right?',
    },
    { what: 'web (tcp db.internal:5432): up, in 2 ms' },
  ]);
});

test('nothing runs, and nothing is told, after close()', async () => {
  const { clock, source, read, startedMs } = open([makeCheck('db')], { lastingMs: 60_000 });
  await clock.advance(30_000);
  await source.close?.();
  await clock.advance(120_000);
  expect(startedMs).toHaveLength(1);
  expect((await read()).values).toEqual({});
});

test('findings show neither a header nor what follows the ? of an address', async () => {
  const headers = [['Authorization', 'Bearer hidden']] as const;
  const probe = makeHttpProbe('https://shop.example/health?token=hidden', { headers });
  const { source } = open([{ ...makeCheck('shop'), probe }]);
  expect(JSON.stringify(await source.diagnose?.())).toBe(
    '[{"what":"shop (http https://shop.example/health): has not been looked at yet"}]',
  );
});

test('whatever the outcomes are, the counts are right and every sample is legal', async () => {
  const failure = fc.constantFrom(null, REFUSED, TIMEOUT);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(failure, fc.boolean()), { minLength: 1, maxLength: 30 }), async (runs) => {
      const { clock, read } = open([makeCheck('db')], { failures: runs.map(([one]) => one) });
      const last: Record<string, number> = {};
      for (const [, isRead] of runs) {
        await clock.advance(30_000);
        if (isRead) Object.assign(last, (await read()).values);
      }
      Object.assign(last, (await read()).values);
      expect(last[`muster.check.runs{${DB}}`]).toBe(runs.length);
      expect(last[`muster.check.failures{${DB}}`]).toBe(runs.filter(([one]) => one !== null).length);
    }),
    { numRuns: 30 },
  );
});
