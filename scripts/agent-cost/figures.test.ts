import { expect, test } from 'vitest';

import { figuresAt, formatTable, isWithin, type Cost } from './figures.ts';

const COST: Cost = {
  name: 'agent',
  cpuPercent: 0.4,
  anonymousBytes: 19e6,
  anonymousBytesMax: 30e6,
  rssBytes: 60e6,
  rssBytesMax: 70e6,
  started: 0,
  series: 200,
  wireBytes: 500_000,
  bodyBytes: 320_000,
  fixedBytes: 20_000,
  firstMs: 900,
};

test.for([
  // interval in seconds, what is different, whether it holds
  [1, {}, true],
  [1, { cpuPercent: 0.51 }, false],
  [10, {}, false],
  [10, { cpuPercent: 0.1 }, true],
  [5, { cpuPercent: 3 }, true],
  [1, { anonymousBytes: 21e6 }, false],
  [1, { rssBytes: 61e6 }, false],
  [1, { started: 1 }, false],
  [1, { started: null }, false],
  [1, { firstMs: 1_001 }, false],
  [1, { firstMs: null }, false],
  [5, { wireBytes: 550_001, cpuPercent: 0 }, false],
  [5, { wireBytes: 550_000, cpuPercent: 0 }, true],
  [1, { wireBytes: 5e6 }, true],
] as const)('an agent that samples every %i s, with %o, is within what is required: %s', ([seconds, change, holds]) => {
  expect(isWithin(figuresAt({ everyMs: 1_000 * seconds, ageMs: 600_000 }), { ...COST, ...change })).toBe(holds);
});

test('formatTable() has a column for each program and says what is not known', () => {
  const peer = {
    ...COST,
    name: 'peer',
    started: null,
    wireBytes: null,
    bodyBytes: null,
    fixedBytes: null,
    series: null,
    firstMs: null,
  };
  const lines = formatTable(figuresAt({ everyMs: 5_000, ageMs: 150_000 }), [COST, peer]).split('\n');
  expect(lines[0]).toMatch(/^ +agent +peer +required +stretch$/);
  expect(lines[1]).toMatch(/^CPU, of one core \(%\) +0\.40 +0\.40$/);
  expect(lines[4]).toMatch(/^resident memory \(RSS\), after 150 s \(MB\) +60/);
  expect(lines.at(-2)).toMatch(/^on the wire, an hour, for 100 series by what grows \(KB\) +350 +- +<= 400 +<= 150$/);
  expect(lines.at(-1)).toMatch(/^start to first batch delivered \(s\) +0\.90 +- +<= 1 +<= 0\.3$/);
});
