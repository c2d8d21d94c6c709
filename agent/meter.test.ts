import { expect, test } from 'vitest';

import { makeMeter } from './meter.ts';

/** A meter whose clocks move as tests say. */
function start() {
  const clocks = { nowMs: 0, cpuMs: 0 };
  const { begin, measure } = makeMeter({ nowMs: () => clocks.nowMs, cpuMs: () => clocks.cpuMs });
  const work = (ms: number) => {
    clocks.nowMs += ms;
    clocks.cpuMs += ms;
  };
  const wait = (ms: number) => void (clocks.nowMs += ms);
  return { begin, measure, work, wait };
}

test('a run that never waits is measured exactly, whatever was used before it', () => {
  const { begin, measure, work } = start();
  work(100);
  begin();
  expect(measure(() => (work(3), 'value'))).toEqual({ value: 'value', cost: { durationMs: 3, cpuMs: 3 } });
});

test('runs that wait share what is used meanwhile, but for what one that does not wait uses', async () => {
  const { measure, work, wait } = start();
  const [a, b] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  const first = measure(() => (work(2), a.promise));
  const second = measure(() => (work(4), b.promise));
  wait(10);
  work(6); // three for each of them
  expect(measure(() => work(50))).toMatchObject({ cost: { cpuMs: 50 } });
  a.resolve('a');
  expect(await first).toEqual({ value: 'a', cost: { durationMs: 72, cpuMs: 5 } });
  work(1);
  b.resolve('b');
  expect(await second).toEqual({ value: 'b', cost: { durationMs: 71, cpuMs: 8 } });
});

test('a run that throws or rejects hands it on, and holds no share', async () => {
  const { measure, work } = start();
  expect(() =>
    measure(() => {
      throw new Error('no');
    }),
  ).toThrow('no');
  await expect(measure(() => Promise.reject(new Error('later')))).rejects.toThrow('later');
  const late = measure(async () => {
    await Promise.resolve();
    work(5);
  });
  expect(await late).toMatchObject({ cost: { cpuMs: 5 } });
});
