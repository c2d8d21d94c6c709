import fc from 'fast-check';
import { expect, test } from 'vitest';

import { areTwoAgents, NO_RUNS, stepRuns, type Runs } from './runs.ts';

function runAll(runs: Iterable<number>): Runs {
  let known = NO_RUNS;
  for (const run of runs) known = stepRuns(known, run);
  return known;
}

test.for([
  ['', false],
  ['AAAA', false],
  ['ABCDEFG', false],
  ['ABA', false], // the last request of A arrived late
  ['ABAB', false],
  ['ABABAB', false], // two of them did
  ['ABABABB', false],
  ['ABABABA', true],
  ['AABBAABBAABBA', true],
  ['ABCABCAB', true],
  ['ABABCBCBCD', false], // each start overtook the last request of the one before
] as const)('areTwoAgents() after %s is %s', ([runs, isTwo]) => {
  expect(areTwoAgents(runAll(Array.from(runs, (letter) => letter.charCodeAt(0))))).toBe(isTwo);
});

/** How many batches each start of one agent sends, and after how many of them up to two of the start before arrive. */
const starts = fc.array(
  fc.record({ batches: fc.integer({ min: 1, max: 5 }), late: fc.array(fc.nat(5), { maxLength: 2 }) }),
  { maxLength: 200 },
);

test('one agent is never taken for two, however it restarts', () => {
  fc.assert(
    fc.property(starts, (lives) => {
      let known = NO_RUNS;
      for (const [run, { batches, late }] of lives.entries()) {
        for (let sent = 0; sent < batches; sent += 1) {
          known = stepRuns(known, run);
          for (const after of run === 0 ? [] : late) if (after === sent) known = stepRuns(known, run - 1);
          if (areTwoAgents(known)) return false;
        }
      }
      return true;
    }),
  );
});

test('agents that take turns are found out by their sixth turn, whatever was before', () => {
  fc.assert(
    fc.property(
      starts,
      fc.integer({ min: 2, max: 64 }),
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 6 }),
      (lives, agents, bursts) => {
        const before = lives.map((_, run) => run);
        const first = Array.from({ length: agents }, (_, agent) => 1000 + agent);
        const turns = bursts.flatMap((batches, turn) => Array.from({ length: batches }, () => 1000 + (turn % agents)));
        return areTwoAgents(runAll([...before, ...first, ...turns]));
      },
    ),
  );
});

test('what is remembered is bounded', () => {
  expect(runAll(Array.from({ length: 10_000 }, (_, i) => i)).past.length).toBe(64);
});
