import { expect, test } from 'vitest';

import { GONE_MAX, KEEP_NOTHING, makeRebase, type Keep } from './rebase.ts';

/** Rebases readings of one counter a name, `name: [identity, count]`, one after the other. */
function run(
  readings: readonly Readonly<Record<string, readonly [identity: string | null, count: number]>>[],
  keep: Keep = KEEP_NOTHING,
) {
  let current = readings[0] ?? {};
  const rebase = makeRebase({ identify: (name) => current[name]?.[0] ?? null, keep });
  return readings.map((reading) => {
    current = reading;
    const counters = new Map(Object.entries(reading).map(([name, [, count]]) => [name, [count]] as const));
    return Object.fromEntries([...rebase(counters)].map(([name, [count]]) => [name, count]));
  });
}

test.for([
  // what, readings, what they become
  [
    'the same card',
    [{ eth0: ['2', 500] }, { eth0: ['2', 600] }, { eth0: ['2', 7] }],
    [{ eth0: 500 }, { eth0: 600 }, { eth0: 7 }],
  ],
  [
    'two cards that swap their names',
    [
      { eth0: ['2', 10], eth1: ['3', 9_000] },
      { eth0: ['3', 9_100], eth1: ['2', 20] },
      { eth0: ['3', 9_150], eth1: ['2', 25] },
    ],
    [
      { eth0: 10, eth1: 9_000 },
      { eth0: 0, eth1: 0 },
      { eth0: 50, eth1: 5 },
    ],
  ],
  [
    'one that is renamed to what another one was called',
    [{ eth0: ['2', 10], eth1: ['3', 9_000] }, { eth1: ['3', 9_100] }, { eth0: ['3', 9_200] }, { eth0: ['3', 9_300] }],
    [{ eth0: 10, eth1: 9_000 }, { eth1: 9_100 }, { eth0: 0 }, { eth0: 100 }],
  ],
  [
    'a new one of the same name, that has counted more by the first look',
    [{ usb0: ['7', 10] }, {}, { usb0: ['8', 4_000] }, { usb0: ['8', 4_001] }],
    [{ usb0: 10 }, {}, { usb0: 0 }, { usb0: 1 }],
  ],
  [
    'one that was counted anew, and is reset',
    [{ a: ['1', 10] }, {}, { a: ['2', 500] }, { a: ['2', 510] }, { a: ['2', 40] }, { a: ['2', 45] }],
    [{ a: 10 }, {}, { a: 0 }, { a: 10 }, { a: 0 }, { a: 5 }],
  ],
  [
    'another one of the same name between two readings, that has counted more',
    [{ eth0: ['2', 1_100] }, { eth0: ['3', 9e9] }, { eth0: ['3', 9e9 + 5] }],
    [{ eth0: 1_100 }, { eth0: 0 }, { eth0: 5 }],
  ],
  [
    'what cannot be identified',
    [{ a: [null, 10] }, { a: [null, 5] }, { a: ['1', 20] }],
    [{ a: 10 }, { a: 5 }, { a: 20 }],
  ],
] as const)('makeRebase() of %s', ([, readings, expected]) => {
  expect(run(readings)).toEqual(expected);
});

test('of too many names those that are gone for longest are forgotten, and what is there goes on as it was', () => {
  const brief = Array.from({ length: GONE_MAX - 1 }, (_, i) => [`veth${i}`, [`${100 + i}`, 1]] as const);
  const readings = run([
    { old: ['7', 10], eth0: ['2', 5_000] },
    { late: ['9', 10], eth0: ['3', 9_000] },
    { eth0: ['3', 9_050], ...Object.fromEntries(brief) },
    { eth0: ['3', 9_060] },
    { eth0: ['3', 9_100], old: ['8', 400], late: ['10', 400] },
  ]);
  expect(readings.map(({ eth0 }) => eth0)).toEqual([5_000, 0, 50, 60, 100]);
  expect(readings.at(-1)).toEqual({ eth0: 100, old: 400, late: 0 });
});

test.for([
  ['another one', { eth0: ['3', 9e9] }, { eth0: 0 }],
  ['the same one', { eth0: ['2', 1_200] }, { eth0: 1_200 }],
  ['one that cannot be identified', { eth0: [null, 9e9] }, { eth0: 9e9 }],
] as const)('after a restart of the agent, %s bears a name that was never counted anew', ([, reading, expected]) => {
  let kept: unknown = null;
  const keep: Keep = { read: () => kept, write: (value) => void (kept = JSON.parse(JSON.stringify(value))) };
  run([{ eth0: ['2', 1_000] }, { eth0: ['2', 1_100] }], keep);
  expect(run([reading], keep)).toEqual([expected]);
});

test('who bears a name is looked up, and kept, only where that may have changed', () => {
  const looks: string[] = [];
  let writes = 0;
  const rebase = makeRebase({
    identify: (name) => (looks.push(name), '2'),
    keep: { read: () => null, write: () => void (writes += 1) },
  });
  for (const [a, b] of [
    [1_000, 0],
    [1_900, 0],
    [2_000, 5],
    [3_000, 10],
    [2_999, 11],
  ] as const) {
    rebase(
      new Map([
        ['a', [a]],
        ['b', [b]],
      ]),
    );
    looks.push('|');
  }
  expect(looks.join('')).toBe('ab||b||ab|');
  expect(writes).toBe(1);
});

test('what was counted anew goes on from there after a restart of the agent; damage is as if nothing was kept', () => {
  let kept: unknown = null;
  const keep: Keep = { read: () => kept, write: (value) => void (kept = JSON.parse(JSON.stringify(value))) };
  run([{ eth0: ['2', 10] }, {}, { eth0: ['3', 9_000] }], keep);
  expect(run([{ eth0: ['3', 9_050] }], keep)).toEqual([{ eth0: 50 }]);
  expect(run([{ eth0: ['4', 9_050] }, { eth0: ['4', 9_060] }], keep)).toEqual([{ eth0: 0 }, { eth0: 10 }]);
  for (kept of [7, [7], [{ name: 'eth0' }], [{ name: 'eth0', identity: '3', base: ['x'] }]]) {
    expect(run([{ eth0: ['3', 9_050] }], { ...keep, write: () => undefined })).toEqual([{ eth0: 9_050 }]);
  }
});
