import { expect, test } from 'vitest';

import { parseLabels } from '@muster/proto/labels';
import { findMetric } from '@muster/proto/metric';

import { planFleet, type FleetPlan } from './fleet.ts';
import { makeSimulatedHost } from './host.ts';
import { parseScenarios } from './scenario.ts';
import { makeWorld, type World } from './world.ts';

const HOUR_MS = 3_600_000;
const FROM_MS = Date.UTC(2026, 2, 27); // two days before clocks change in Europe
const SIZE = { seed: 3, hosts: 30, services: 4, instances: 20, containers: 40, regions: 3 };
const TIMES = { fromMs: FROM_MS, liveMs: FROM_MS + 24 * HOUR_MS };

function makeAll(text: string): { fleet: FleetPlan; world: World } {
  const fleet = planFleet(SIZE);
  const orders = parseScenarios(text);
  if (!orders.ok) throw new Error(orders.error);
  return { fleet, world: makeWorld(fleet, orders.value, TIMES) };
}

type Reading = { readonly tMs: number; readonly valueOf: (metric: string, labels?: string) => number };

/** What a host finds, hour after hour or as often as asked, while it is on. */
function readHost({ fleet, world }: ReturnType<typeof makeAll>, number: number, hours: number, everyMs = HOUR_MS) {
  const plan = fleet.hosts[number];
  if (plan === undefined) throw new Error(`There is no host ${number}`);
  const host = makeSimulatedHost(plan, fleet, world, FROM_MS);
  const readings: Reading[] = [];
  for (let tMs = FROM_MS; tMs < FROM_MS + hours * HOUR_MS; tMs += everyMs) {
    const found = host.read(tMs);
    if (found === null) continue;
    const values = found.values.slice();
    readings.push({
      tMs,
      valueOf: (metric, labels = '') => values[host.series.findIndex(([a, b]) => a === metric && b === labels)] ?? NaN,
    });
  }
  return readings;
}

test('every series of every host is one that its metric may have, and its values are legal, whatever befalls it', () => {
  const { fleet, world } = makeAll('all');
  const illegal: unknown[] = [];
  for (const plan of fleet.hosts) {
    const host = makeSimulatedHost(plan, fleet, world, FROM_MS);
    for (const [metric, text] of host.series) {
      const about = findMetric(metric);
      const labels = parseLabels(text);
      if (!labels.ok) throw new Error(labels.error);
      if (about === null) continue;
      const shape = Object.keys(labels.value).toSorted().join();
      expect(about.labels.map((keys) => [...keys].toSorted().join())).toContain(shape);
    }
    expect(new Set(host.series.map((one) => one.join(' '))).size).toBe(host.series.length);
    for (let tMs = FROM_MS; tMs < FROM_MS + 80 * HOUR_MS; tMs += 13 * 60_000) {
      const found = host.read(tMs);
      for (const [row, [metric]] of host.series.entries()) {
        const value = found?.values[row] ?? NaN;
        if (Number.isNaN(value)) continue;
        const { min, max } = findMetric(metric) ?? { min: 0, max: Number.MAX_VALUE };
        if (value < min || value > max) illegal.push([metric, value]);
      }
    }
  }
  expect(illegal).toEqual([]);
});

test('the same seed makes the same fleet, which finds the same', () => {
  const [one, other] = [makeAll('all'), makeAll('all')];
  expect(one.fleet).toEqual(other.fleet);
  expect(one.world.incidents).toEqual(other.world.incidents);
  const read = (all: typeof one) =>
    readHost(all, 4, 10).map(({ valueOf }) => valueOf('system.network.io', 'network.io.direction=receive'));
  expect(read(one)).toEqual(read(other));
  expect(planFleet({ ...SIZE, seed: 4 })).not.toEqual(one.fleet);
});

test('counters rise, and begin anew when a machine has been off', () => {
  const all = makeAll('reboot-storm:at=1h:for=4h:count=30');
  const readings = readHost(all, 2, 48, 30_000);
  const labels = 'network.io.direction=transmit';
  const falls = readings.filter(
    ({ valueOf }, i) =>
      valueOf('system.network.io', labels) < (readings[i - 1]?.valueOf('system.network.io', labels) ?? 0),
  );
  expect(falls.length).toBe(3);
  for (const { valueOf } of falls) expect(valueOf('system.uptime')).toBe(0);
});

const DATA = 'system.device=/dev/nvme0n1p2,system.filesystem.mountpoint=/var/lib/data,system.filesystem.type=ext4';

test.for([
  // scenario, metric, labels: at most before it, at least and at most in its last hour, at most after it
  ['disk-linear:at=0s:for=30h:count=30', 'system.filesystem.utilization', DATA, [0.7, 0.97, 1, 0.7]],
  ['disk-saw-tooth:at=0s:for=30h:count=30', 'system.filesystem.utilization', DATA, [0.7, 0.4, 0.95, 0.7]],
  ['disk-sudden:at=0s:for=6h:count=30', 'system.filesystem.utilization', DATA, [0.7, 0.96, 0.98, 0.7]],
  ['memory-leak:at=0s:for=6h:count=30', 'system.memory.utilization', '', [0.8, 0.85, 1, 0.8]],
  ['cpu-saturation:at=0s:for=6h:count=30', 'system.cpu.utilization', '', [0.9, 0.9, 1, 0.9]],
  ['noisy-neighbour:at=0s:for=6h:count=30', 'system.cpu.utilization', 'cpu.mode=steal', [0, 0.33, 0.33, 0]],
  ['clock-skew:at=0s:for=6h:count=30', 'system.clock.offset', '', [0, 70, 90, 0]],
] as const)('%s shows in %s', ([scenario, metric, labels, [before, least, most, after]]) => {
  const all = makeAll(scenario);
  const [incident] = all.world.incidents;
  const { fromMs = 0, toMs = 0 } = incident ?? {};
  expect(incident?.hosts.length).toBe(30);
  for (const number of [0, 2, 4, 6]) {
    const readings = readHost(all, number, 60, 600_000);
    const values = (from: number, to: number) =>
      readings.filter(({ tMs }) => tMs >= from && tMs < to).map(({ valueOf }) => valueOf(metric, labels));
    expect(Math.max(...values(0, fromMs))).toBeLessThanOrEqual(before);
    expect(Math.max(...values(toMs - HOUR_MS, toMs))).toBeGreaterThanOrEqual(least);
    expect(Math.max(...values(toMs - HOUR_MS, toMs))).toBeLessThanOrEqual(most);
    expect(Math.max(...values(toMs, Infinity))).toBeLessThanOrEqual(after);
  }
});

test('a region that is lost, and nobody else, finds nothing for as long as it is', () => {
  const all = makeAll('lost-region:at=1h:for=2h');
  const [incident] = all.world.incidents;
  expect(incident?.hosts.length).toBe(10);
  for (const plan of all.fleet.hosts) {
    const expected = incident?.hosts.includes(plan.name) === true ? 46 : 48;
    expect(readHost(all, plan.number, 48).length).toBe(expected);
  }
});

test('people are awake by day: a web host is busier then, and less so on Sundays', () => {
  const all = makeAll('restart-loop');
  const web = all.fleet.hosts.find(({ role }) => role === 'web');
  const readings = readHost(all, web?.number ?? 0, 10 * 24, 600_000);
  const mean = (day: number, hour: number): number => {
    const fromMs = Date.UTC(2026, 2, day, hour) - (web?.region.utcHours ?? 0) * HOUR_MS;
    const values = readings
      .filter(({ tMs }) => tMs >= fromMs && tMs < fromMs + 3 * HOUR_MS)
      .map(({ valueOf }) => valueOf('system.cpu.utilization'));
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  expect(mean(31, 14)).toBeGreaterThan(2 * mean(31, 2));
  expect(mean(31, 14)).toBeGreaterThan(1.15 * mean(29, 14));
});

test.for(['disk', 'disk-linear:at', 'disk-linear:at=1', 'disk-linear:for=0s', 'memory-leak:count=0', 'all,all', ''])(
  'parseScenarios(%s) says what would be right',
  (text) => {
    const parsed = parseScenarios(text);
    expect(parsed.ok ? '' : parsed.error).toContain('disk-linear:at=1h:for=6h:count=3');
  },
);

test('every four weeks each host is brought up to date, and says that it shuts down and starts', () => {
  const fleet = planFleet({ ...SIZE, hosts: 3 });
  const world = makeWorld(fleet, [], TIMES);
  for (const plan of fleet.hosts) {
    const host = makeSimulatedHost(plan, fleet, world, FROM_MS);
    const said: string[] = [];
    const off: number[] = [];
    for (let tMs = FROM_MS; tMs < FROM_MS + 28 * 24 * HOUR_MS; tMs += 30_000) {
      const found = host.read(tMs);
      said.push(
        ...(found?.events ?? []).map(({ kind }) => kind).filter((kind) => kind === 'shutdown' || kind === 'boot'),
      );
      if (found === null || found.values.every(Number.isNaN)) off.push(tMs);
    }
    expect([said, off.length]).toEqual([['shutdown', 'boot'], 3]);
  }
});
