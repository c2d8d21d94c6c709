import { type LatestValue, SILENT_INTERVALS, SILENT_MS_MIN } from '@muster/proto/api';
import type { MetricName } from '@muster/proto/metric';

import { compareNames } from '../compare-names.ts';
import { pickTold, readTold, type Told } from './reading.ts';

/** One check as its last run found it. null: not known, because the run did not tell it or is old. */
export type Check = {
  readonly name: string;
  readonly kind: string;
  /** Empty where it is the name of the check. */
  readonly service: string;
  readonly isUp: boolean | null;
  /** Why it is down; empty where nobody can tell. */
  readonly reason: string;
  readonly seconds: number | null;
  /** Until the certificate expires; below 0: since it has. */
  readonly expirySeconds: number | null;
};

const METRICS = new Set<string>([
  'muster.check.up',
  'muster.check.runs',
  'muster.check.failures',
  'muster.check.duration',
  'muster.check.http.status_code',
  'muster.check.tls.expiry',
] satisfies readonly MetricName[]);

/** The checks among the newest values of a host at `atMs`, by its clock: those that are down first, those that are up last. */
export function listChecks(latest: Iterable<LatestValue>, atMs: number): Check[] {
  const groups = Map.groupBy(pickTold(latest, METRICS), ({ labels }) =>
    JSON.stringify([labels['check.kind'], labels['check.name'], labels['service.name']]),
  );
  return [...groups.values()]
    .map((told) => makeCheck(told, atMs))
    .toSorted((a, b) => rank(a) - rank(b) || compareNames(a.name, b.name) || compareNames(a.kind, b.kind));
}

function rank({ isUp }: Check): number {
  if (isUp === null) return 1;
  return isUp ? 2 : 0;
}

function makeCheck(told: readonly Told[], atMs: number): Check {
  // What an earlier run told, such as the latency of one that found all well, is not of now.
  const runMs = told.reduce((newestMs, { tsMs }) => Math.max(newestMs, tsMs), 0);
  const run = atMs - runMs > holdMs(told) ? [] : told.filter(({ tsMs }) => tsMs === runMs);
  const labels = told[0]?.labels ?? {};
  const name = labels['check.name'] ?? '';
  const service = labels['service.name'] ?? '';
  const up = readTold(run, 'muster.check.up');
  const whole = run.filter((one) => one.labels['check.phase'] === undefined);
  return {
    name,
    kind: labels['check.kind'] ?? '',
    service: service === name ? '' : service,
    isUp: up === null ? null : up > 0,
    reason: up === 0 ? findReason(run) : '',
    seconds: readTold(whole, 'muster.check.duration'),
    expirySeconds: readTold(run, 'muster.check.tls.expiry'),
  };
}

/** Some of its own intervals, which is what the rate of its runs says; what has run once may be run once a day. */
function holdMs(told: readonly Told[]): number {
  const runsPerSecond = readTold(told, 'muster.check.runs') ?? 0;
  if (runsPerSecond <= 0) return Number.MAX_VALUE;
  return Math.max(SILENT_MS_MIN, (SILENT_INTERVALS * 1000) / runsPerSecond);
}

/** The type of failure that rises with this run, or begins with it: then its rate is not known yet. */
function findReason(run: readonly Told[]): string {
  const types = run.filter(
    ({ metric, labels }) => metric === 'muster.check.failures' && labels['error.type'] !== undefined,
  );
  const begun = types.filter(({ value }) => value === null);
  const rising = types.find(({ value }) => value !== null && value > 0) ?? (begun.length === 1 ? begun[0] : undefined);
  const type = rising?.labels['error.type'] ?? '';
  const status = readTold(run, 'muster.check.http.status_code');
  return type === 'status' && status !== null ? `status ${status}` : type;
}

/** When a certificate expires, in the largest unit that fits: `in 23 days`. */
export function describeExpiry(seconds: number): string {
  const size = Math.abs(seconds);
  const [unit, unitSeconds] = UNITS.find(([, least]) => size >= 2 * least) ?? ['minute', 60];
  const count = Math.floor(size / unitSeconds);
  const amount = `${count}\u00a0${unit}${count === 1 ? '' : 's'}`;
  return seconds < 0 ? `expired ${amount} ago` : `in ${amount}`;
}

const UNITS = [
  ['day', 86_400],
  ['hour', 3600],
] as const;
