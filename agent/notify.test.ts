import { expect, test } from 'vitest';

import { makeLog } from '@muster/proto/log';

import { openNotifier, readWatchdogMs } from './notify.ts';
import { makeClock } from './testing/clock.ts';

/** A notifier in a time of its own, and what it told. */
function openTestNotifier({
  watchdogMs = 10_000,
  isDeaf = () => false,
}: { watchdogMs?: number | null; isDeaf?: () => boolean } = {}) {
  const clock = makeClock(1_700_000_000_000);
  const told: string[] = [];
  const lines: string[] = [];
  const notifier = openNotifier({
    send: (state) => {
      if (isDeaf()) throw new Error('ECONNREFUSED');
      told.push(state);
    },
    watchdogMs,
    about: 'web-1 to https://muster.example',
    log: makeLog((line) => void lines.push(line), clock.now),
    monotonicMs: clock.now,
    now: clock.now,
    schedule: clock.schedule,
  });
  return {
    ...clock,
    notifier,
    told,
    lines,
    signs: () => told.splice(0).filter((state) => state.includes('WATCHDOG=1')),
  };
}

test('openNotifier() says that it is ready when the first tick is taken, and once', () => {
  const { notifier, told } = openTestNotifier();
  expect(told).toEqual(['WATCHDOG=1\nSTATUS=web-1 to https://muster.example; nothing delivered yet']);
  notifier.ticked(5_000);
  notifier.ticked(5_000);
  expect(told.slice(1)).toEqual(['READY=1']);
  notifier.close();
  expect(told.slice(2)).toEqual(['STOPPING=1\nSTATUS=delivering what waits']);
});

test('openNotifier() gives a sign of life at half of the time, and says what was delivered when that changes', async () => {
  const { notifier, told, advance } = openTestNotifier();
  notifier.ticked(60_000);
  told.length = 0;
  await advance(10_000);
  expect(told).toEqual(['WATCHDOG=1', 'WATCHDOG=1']);
  notifier.delivered();
  expect(told.splice(0)).toContain('STATUS=web-1 to https://muster.example; last delivered at 22:13:30 UTC');
  await advance(3_000);
  notifier.delivered();
  await advance(7_000);
  expect(told).toEqual([
    'WATCHDOG=1\nSTATUS=web-1 to https://muster.example; last delivered at 22:13:33 UTC',
    'WATCHDOG=1',
  ]);
  notifier.close();
  told.length = 0;
  await advance(60_000);
  expect(told).toEqual([]);
});

test.for([
  // which part works, every how many milliseconds ticks are to come, what time passes, whether there are still signs
  ['both', 5_000, 900_000, true],
  ['asking', 5_000, 19_000, true],
  ['asking', 5_000, 31_000, false],
  ['asking', 60_000, 129_000, true],
  ['asking', 60_000, 141_000, false],
  ['sampling', 5_000, 445_000, true],
  ['sampling', 5_000, 461_000, false],
] as const)(
  'openNotifier() while %s works, with ticks every %i ms, after %i ms: sign of life %s',
  async ([works, everyMs, afterMs, isSigned]) => {
    const { notifier, advance, signs } = openTestNotifier();
    notifier.ticked(everyMs);
    for (let passedMs = 0; passedMs < afterMs; passedMs += 1_000) {
      if (works !== 'asking') notifier.ticked(everyMs);
      if (works !== 'sampling') notifier.asked();
      if (passedMs === afterMs - 6_000) signs();
      await advance(1_000);
    }
    expect(signs().length > 0).toBe(isSigned);
    notifier.ticked(everyMs);
    notifier.asked();
    await advance(5_000);
    expect(signs()).not.toEqual([]);
  },
);

test('openNotifier() without a watchdog tells the state only', async () => {
  const { notifier, told, advance } = openTestNotifier({ watchdogMs: null });
  notifier.ticked(5_000);
  await advance(120_000);
  expect(told).toEqual(['STATUS=web-1 to https://muster.example; nothing delivered yet', 'READY=1']);
  notifier.delivered();
  expect(told[2]).toBe('STATUS=web-1 to https://muster.example; last delivered at 22:15:20 UTC');
});

test('openNotifier() that is not heard says so once, and says that it is ready as soon as it is', async () => {
  let isDeaf = true;
  const { notifier, told, lines, advance } = openTestNotifier({ isDeaf: () => isDeaf });
  notifier.ticked(5_000);
  await advance(20_000);
  expect([told, lines.length]).toEqual([[], 1]);
  expect(lines[0]).toContain('"event":"notify.failed","reason":"ECONNREFUSED"');
  isDeaf = false;
  notifier.ticked(5_000);
  await advance(5_000);
  expect(told).toEqual(['READY=1', 'WATCHDOG=1\nSTATUS=web-1 to https://muster.example; nothing delivered yet']);
});

test.for([
  [{}, null],
  [{ WATCHDOG_USEC: '60000000' }, 60_000],
  [{ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '7' }, 60_000],
  [{ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '8' }, null],
  [{ WATCHDOG_USEC: '0' }, null],
  [{ WATCHDOG_USEC: 'soon' }, null],
] as const)('readWatchdogMs(%o) is %s', ([env, ms]) => {
  expect(readWatchdogMs(env, 7)).toBe(ms);
});
