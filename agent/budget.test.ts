import { expect, test } from 'vitest';

import { judgeRun, NEW_BUDGET, RUNS_JUDGED, type Budget, type Verdict } from './budget.ts';

const TERMS = { everyMs: 5_000, cpuRatioMax: 0.01 };

/** The verdicts over runs of one cost, without those that change nothing. */
function judgeAll(budget: Budget, cpuMs: number, durationMs: number, runs = 10 * RUNS_JUDGED) {
  const verdicts: Verdict[] = [];
  let now = budget;
  for (let i = 0; i < runs && !now.isOff; i += 1) {
    const judged = judgeRun(now, { cpuMs, durationMs }, TERMS);
    now = judged.budget;
    if (judged.verdict !== 'kept') verdicts.push(judged.verdict);
  }
  return { verdicts, slowdown: now.slowdown, isOff: now.isOff };
}

test.for([
  // CPU time and duration of each run, verdicts, how much slower in the end
  [0, 0, [], 1],
  [50, 0, [], 1],
  [51, 0, ['slowed'], 2],
  [150, 0, ['slowed', 'slowed'], 4],
  [0, 5_001, ['slowed'], 2],
  [800, 0, ['slowed', 'slowed', 'slowed', 'slowed'], 16],
  [801, 0, ['slowed', 'slowed', 'slowed', 'slowed', 'off'], 16],
  [0, 90_000, ['slowed', 'slowed', 'slowed', 'slowed', 'off'], 16],
] as const)('runs of %i ms of CPU that take %i ms: %o, %i times slower', ([cpuMs, durationMs, verdicts, slowdown]) => {
  expect(judgeAll(NEW_BUDGET, cpuMs, durationMs)).toMatchObject({ verdicts, slowdown });
});

test.for([
  // slowed down so many times, CPU time, verdicts
  [2, 25, ['quickened']],
  [2, 26, []],
  [8, 25, ['quickened', 'quickened', 'quickened']],
  [8, 100, ['quickened']],
] as const)('a source slowed down to 1/%i whose runs take %i ms: %o', ([slowdown, cpuMs, verdicts]) => {
  expect(judgeAll({ ...NEW_BUDGET, slowdown }, cpuMs, 0).verdicts).toEqual(verdicts);
});

test('one dear run among cheap ones, and the first of all, change nothing', () => {
  let budget = NEW_BUDGET;
  const verdicts = [900, 0, 0, 0, 240, 0, 0, 0, 0, 240, 0].map((cpuMs) => {
    const judged = judgeRun(budget, { cpuMs, durationMs: 0 }, TERMS);
    ({ budget } = judged);
    return judged.verdict;
  });
  expect(new Set(verdicts)).toEqual(new Set(['kept']));
});
