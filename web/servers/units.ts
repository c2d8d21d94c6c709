import type { LatestValue } from '@muster/proto/api';
import type { MetricName } from '@muster/proto/metric';

import { compareNames } from '../compare-names.ts';
import { formatCount } from '../format.ts';
import { readTold, readWord, takeReading, type Told } from './reading.ts';

/** A unit that has failed, or that systemd has started again since the reading before. */
export type Unit = { readonly name: string; readonly state: string; readonly restartsPerSecond: number | null };

/** `summary` is empty where the host tells nothing of units. */
export type Units = { readonly summary: string; readonly troubled: readonly Unit[] };

const METRICS: readonly MetricName[] = ['systemd.unit.count', 'systemd.unit.state', 'systemd.service.restarts'];

/** The units of systemd at `atMs`, by the clock of the host; of single ones those that are in trouble, failed ones first. */
export function readUnits(latest: Iterable<LatestValue>, atMs: number): Units {
  const told = takeReading(latest, METRICS, atMs);
  const counts = told.filter(({ metric }) => metric === 'systemd.unit.count');
  const named = told.filter(({ labels }) => labels['systemd.unit.name'] !== undefined);
  const groups = Map.groupBy(named, ({ labels }) => labels['systemd.unit.name'] ?? '');
  const units = [...groups].map(([name, unit]) => ({
    name,
    state: readWord(unit, 'systemd.unit.state', 'systemd.unit.active_state') ?? '',
    restartsPerSecond: readTold(unit, 'systemd.service.restarts'),
  }));
  const troubled = units
    .filter(({ state, restartsPerSecond }) => state === 'failed' || (restartsPerSecond ?? 0) > 0)
    .toSorted((a, b) => Number(b.state === 'failed') - Number(a.state === 'failed') || compareNames(a.name, b.name));
  return { summary: summarise(counts), troubled };
}

/** `42 active, 1 failed`: those two always, of the others those that there are. */
function summarise(counts: readonly Told[]): string {
  if (counts.length === 0) return '';
  const byState = new Map(counts.map(({ labels, value }) => [labels['systemd.unit.active_state'] ?? '', value]));
  const states = [...new Set(['active', 'failed', ...byState.keys()])];
  return states
    .filter((state) => state === 'active' || state === 'failed' || (byState.get(state) ?? 0) > 0)
    .map((state) => `${formatCount(byState.get(state) ?? null)} ${state}`)
    .join(', ');
}
