import { SILENT_INTERVALS, SILENT_MS_MIN, type HostRow, type HostStatus, type LatestValue } from '@muster/proto/api';
import { parseLabels, type Labels } from '@muster/proto/labels';

/** The token of a host is not taken any more. */
export type Ended = Extract<HostStatus, 'quarantined' | 'revoked'>;

export type HostFacts = {
  readonly host: string;
  readonly name: string;
  readonly labels: Labels;
  /** The newest tick that arrived, by the host's clock, and when it arrived, by ours. null: none yet. */
  readonly lastMs: number | null;
  readonly arrivedMs: number | null;
  /** Its interval: the least distance of its newest ticks. */
  readonly everyMs: number | null;
  /** Why nothing of it is taken; null when it is. */
  readonly ended: Ended | null;
  /** How far its clock was ahead of ours when its newest batch came. */
  readonly clockOffsetMs: number | null;
  readonly values: Iterable<LatestValue>;
};

type JudgedFacts = Pick<HostFacts, 'arrivedMs' | 'everyMs' | 'ended'>;

/** Says whether a host is heard. By the time of arrival, so that a wrong clock on the host does not make it silent. */
export function judgeStatus(facts: JudgedFacts, nowMs: number): HostStatus {
  if (facts.ended !== null) return facts.ended;
  if (facts.arrivedMs === null) return 'new';
  const silentMs = Math.max(SILENT_MS_MIN, SILENT_INTERVALS * (facts.everyMs ?? 0));
  return nowMs - facts.arrivedMs > silentMs ? 'silent' : 'up';
}

/** The one line that the fleet table shows of a host, from its newest values. */
export function makeHostRow(facts: HostFacts, nowMs: number): HostRow {
  const totals = addUp(facts.values);
  return {
    host: facts.host,
    name: facts.name,
    labels: facts.labels,
    status: judgeStatus(facts, nowMs),
    lastMs: facts.lastMs,
    arrivedMs: facts.arrivedMs,
    everyMs: facts.everyMs,
    clockOffsetMs: facts.clockOffsetMs,
    ...totals,
  };
}

type Totals = {
  -readonly [K in Exclude<keyof HostRow, keyof HostFacts | 'status'>]: HostRow[K];
};

function addUp(values: Iterable<LatestValue>): Totals {
  const totals: Totals = {
    cpuRatio: null,
    memoryRatio: null,
    memoryBytes: null,
    diskRatio: null,
    diskMountpoint: null,
    receiveBytesPerSecond: null,
    transmitBytesPerSecond: null,
    load1: null,
    cores: null,
    uptimeSeconds: null,
  };
  for (const latest of values) if (latest.value !== null) addValue(totals, latest, latest.value);
  return totals;
}

function addValue(totals: Totals, { metric, labels }: LatestValue, value: number): void {
  switch (metric) {
    case 'system.cpu.utilization':
      if (labels === '') totals.cpuRatio = value;
      break;
    case 'system.memory.utilization':
      totals.memoryRatio = value;
      break;
    case 'system.memory.limit':
      totals.memoryBytes = value;
      break;
    case 'system.cpu.load_average.1m':
      totals.load1 = value;
      break;
    case 'system.cpu.logical.count':
      totals.cores = value;
      break;
    case 'system.uptime':
      totals.uptimeSeconds = value;
      break;
    case 'system.filesystem.utilization':
      if (value < (totals.diskRatio ?? -1)) break;
      totals.diskRatio = value;
      totals.diskMountpoint = readLabel(labels, 'system.filesystem.mountpoint');
      break;
    case 'system.network.io':
      if (labels === 'network.io.direction=receive') totals.receiveBytesPerSecond = value;
      if (labels === 'network.io.direction=transmit') totals.transmitBytesPerSecond = value;
      break;
    default:
      break;
  }
}

function readLabel(text: string, key: string): string | null {
  const labels = parseLabels(text);
  return labels.ok ? (labels.value[key] ?? null) : null;
}
