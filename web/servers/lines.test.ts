import { expect, test } from 'vitest';

import { CHART_SPECS } from './chart-specs.ts';
import { type Colours, makeLines } from './lines.ts';
import { appendValue, makeWindow, type SeriesWindow } from './window.ts';

const EMPTY = { host: 'a', metric: 'm', kind: 'gauge', unit: '1', fromMs: 0, toMs: 9, tier: 'raw', tiers: [] } as const;

function makeFilled(values: Readonly<Record<string, number>>, atMs = 1000): SeriesWindow {
  const window = makeWindow({ ...EMPTY, series: [], gaps: [] }, null);
  for (const [text, value] of Object.entries(values)) appendValue(window, { text, atMs, value, everyMs: null });
  return window;
}

function findSpec(id: string): (typeof CHART_SPECS)[number] {
  const spec = CHART_SPECS.find((candidate) => candidate.id === id);
  if (spec === undefined) throw new Error(`Cannot find the chart ${id}`);
  return spec;
}

function groupsOf(id: string, values: Readonly<Record<string, number>>): string[] {
  const spec = findSpec(id);
  return makeLines(
    spec,
    spec.metrics.map((metric) => [metric, makeFilled(values)] as const),
    0,
    new Map(),
  ).lines.map(({ group, side, below }) => `${group} ${side}${below ? ' below' : ''}`.trim());
}

test.for([
  [
    'cpu',
    { '': 0.3, 'cpu.mode=system': 0.1, 'cpu.mode=idle': 0.7, 'cpu.mode=user': 0.2, 'cpu=0': 1 },
    ['user', 'system'],
  ],
  ['cpu', { 'cpu.mode=odd': 0.1, 'cpu.mode=iowait': 0.2 }, ['iowait', 'odd']],
  ['cores', { '': 0.3, 'cpu=10': 0.1, 'cpu=2': 0.2, 'cpu.mode=user': 0.2 }, ['core 2', 'core 10']],
  ['memory', { 'system.memory.state=free': 1, 'system.memory.state=used': 2 }, ['used', 'free']],
  [
    'network',
    {
      'network.interface.name=eth0,network.io.direction=transmit': 1,
      'network.interface.name=eth0,network.io.direction=receive': 2,
    },
    ['eth0 in', 'eth0 out below'],
  ],
  ['disk', { 'disk.io.direction=write,system.device=sda': 1 }, ['sda write below']],
  ['load', { '': 1 }, ['1 min', '5 min', '15 min']],
  ['pressure', { 'system.pressure.kind=some,system.pressure.resource=io': 1 }, ['io some']],
] as const)('makeLines() of %s from %j is %j', ([id, values, groups]) => expect(groupsOf(id, values)).toEqual(groups));

const manyCores = (busy: number): Record<string, number> =>
  Object.fromEntries(Array.from({ length: 64 }, (_, core) => [`cpu=${core}`, core === busy ? 1 : core / 100]));

test('makeLines() draws the highest and counts the rest', () => {
  const { lines, leftOut } = makeLines(
    findSpec('cores'),
    [['system.cpu.utilization', makeFilled(manyCores(3))]],
    0,
    new Map(),
  );
  expect(lines.map(({ group }) => group)).toEqual([3, 57, 58, 59, 60, 61, 62, 63].map((core) => `core ${core}`));
  expect(leftOut).toBe(56);
});

test('makeLines() lets a line keep its colour while others come and go', () => {
  const colours: Colours = new Map();
  const draw = (busy: number) =>
    makeLines(findSpec('cores'), [['system.cpu.utilization', makeFilled(manyCores(busy))]], 0, colours).lines;
  const before = new Map(draw(3).map(({ group, colour }) => [group, colour]));
  const after = new Map(draw(5).map(({ group, colour }) => [group, colour]));
  expect(new Set(after.values()).size).toBe(8);
  expect(after.get('core 60')).toBe(before.get('core 60'));
  expect(after.get('core 5')).toBe(before.get('core 3'));
});

test('makeLines() leaves out what never happened, where only that counts', () => {
  const errors = (value: number) =>
    groupsOf('network-errors', { 'network.interface.name=eth0,network.io.direction=receive': value });
  expect([errors(0), errors(1)]).toEqual([[], ['eth0 drops in', 'eth0 errors in']]);
});

test('makeLines() leaves out what ended before the range', () => {
  const windows = [['system.cpu.utilization', makeFilled({ 'cpu=0': 1 })]] as const;
  expect(makeLines(findSpec('cores'), windows, 1001, new Map())).toEqual({ lines: [], leftOut: 0 });
});
