import fc from 'fast-check';
import { expect, test } from 'vitest';

import { decodeBatch, encodeBatch, type Batch } from './batch.ts';
import { DESCRIPTIONS_MAX, findAbout, formatRateUnit, isReserved, readDescriptions } from './custom.ts';

const BATCH: Batch = {
  epoch: 1,
  seq: 1,
  sentMs: 1,
  ticksMs: [1],
  series: [
    ['requests', 'route=/a'],
    ['system.uptime', ''],
  ],
  values: Float64Array.of(5, 6),
  events: [],
};

test('a batch brings what its custom metrics are', () => {
  const described = [['requests', 'counter', '{request}']] as const;
  expect(decodeBatch(encodeBatch({ ...BATCH, described }))).toEqual({ ok: true, value: { ...BATCH, described } });
  expect(decodeBatch(encodeBatch(BATCH))).toEqual({ ok: true, value: BATCH });
});

test.for([
  [undefined, []],
  [null, []],
  [[['a', 'gauge', '']], [['a', 'gauge', '']]],
  [[['constructor', 'counter', 'By']], [['constructor', 'counter', 'By']]],
  // ours are what the catalogue says
  [[['system.uptime', 'counter', 'x']], []],
  [[['muster.agent.unknown', 'counter', 'x']], []],
  ['a', null],
  [[['a', 'gauge']], null],
  [[['a', 'gauge', '', 1]], null],
  [[['A', 'gauge', '']], null],
  [[['a', 'rate', '']], null],
  [[['a', 'gauge', 'a b']], null],
  [[['a', 'gauge', '\u001b']], null],
  [[['a', 'gauge', 'x'.repeat(64)]], null],
  [
    [
      ['a', 'gauge', ''],
      ['a', 'counter', ''],
    ],
    null,
  ],
  [Array.from({ length: DESCRIPTIONS_MAX + 1 }, (_, i) => [`a${i}`, 'gauge', '']), null],
] as const)('readDescriptions(%.60j) is %j', ([value, expected]) => {
  const read = readDescriptions(value);
  expect(read.ok ? read.value : null).toEqual(expected);
});

test('readDescriptions() never throws', () => {
  fc.assert(fc.property(fc.anything(), (value) => void readDescriptions(value)));
});

test.for([
  ['system.cpu.utilization', true],
  ['system', true],
  ['process.x', true],
  ['systems.x', false],
  ['requests', false],
] as const)('isReserved(%s) is %s', ([metric, expected]) => expect(isReserved(metric)).toBe(expected));

test('findAbout() knows ours, and takes any other for a gauge', () => {
  expect(findAbout('system.network.io')).toMatchObject({ kind: 'counter', unit: 'By' });
  expect(findAbout('constructor')).toEqual({ kind: 'gauge', unit: '' });
});

test.for([
  ['s', '1'],
  ['By', 'By/s'],
  ['', '/s'],
] as const)('the rate of a counter of %s is in %s', ([unit, expected]) => expect(formatRateUnit(unit)).toBe(expected));
