import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makeTotals } from './totals.ts';

const FIRST = { key: 'a', startedMs: 0 };

test.for([
  // what, run, count of the CPU, at; total
  ['the same run goes on', FIRST, 12, 20, 2],
  ['the same run counts less', FIRST, 3, 20, 0],
  ['a run that began since', { key: 'b', startedMs: 15 }, 40, 20, 40],
  ['a run that began as it was last seen', { key: 'b', startedMs: 10 }, 4, 20, 4],
  ['a run that began before', { key: 'b', startedMs: 9 }, 1e9, 20, 0],
  ['a run of unknown start', { key: 'b', startedMs: null }, 1e9, 20, 0],
] as const)('a total when %s', ([, run, cpu, nowMs, total]) => {
  const totals = makeTotals();
  expect(totals.add('web', FIRST, { cpu: 10 }, 10)).toEqual({ cpu: 0 });
  expect(totals.add('web', run, { cpu }, nowMs)).toEqual({ cpu: total });
});

test('a counter that comes later begins at 0, and one that is gone stays where it was', () => {
  const totals = makeTotals();
  totals.add('web', FIRST, { cpu: 1 }, 1);
  expect(totals.add('web', FIRST, { cpu: 2, read: 500 }, 2)).toEqual({ cpu: 1, read: 0 });
  expect(totals.add('web', FIRST, { read: 510 }, 3)).toEqual({ cpu: 1, read: 10 });
  expect(totals.add('web', FIRST, { cpu: 1000, read: 511 }, 4)).toEqual({ cpu: 1, read: 11 });
});

test('what is not kept begins anew', () => {
  const totals = makeTotals();
  totals.add('web', FIRST, { cpu: 1 }, 1);
  totals.add('web', FIRST, { cpu: 2 }, 2);
  totals.keep((name) => name !== 'web');
  expect(totals.add('web', FIRST, { cpu: 9 }, 3)).toEqual({ cpu: 0 });
});

test('a total never falls, and never rises by more than was used since', () => {
  const run = fc.record({ id: fc.constantFrom('a', 'b', 'c'), startedMs: fc.nat(100), cpu: fc.nat(1000) });
  fc.assert(
    fc.property(fc.array(run), (readings) => {
      const totals = makeTotals();
      let before = 0;
      for (const [i, { id, startedMs, cpu }] of readings.entries()) {
        const { cpu: total = NaN } = totals.add('web', { key: `${id} ${startedMs}`, startedMs }, { cpu }, i * 10);
        expect(total).toBeGreaterThanOrEqual(before);
        expect(total - before).toBeLessThanOrEqual(cpu);
        before = total;
      }
    }),
  );
});
