import type { Labels } from '@muster/proto/labels';
import type { MetricName } from '@muster/proto/metric';

import type { Look } from '../chart/model.ts';
import { NEUTRAL_COLOUR } from '../chart/palette.ts';

/** Where a series belongs in a chart. */
export type LinePick = {
  readonly group: string;
  readonly side?: string;
  readonly below?: boolean;
  /** Its place among the lines, from the bottom of a stack; lines without one follow by name. */
  readonly order?: number;
  /** Its colour where it always has the same. */
  readonly colour?: number;
};

export type ChartSpec = {
  readonly id: string;
  readonly title: string;
  readonly note: string;
  readonly look: Look;
  readonly metrics: readonly MetricName[];
  /** The line that a series becomes; null: it is no part of this chart. */
  readonly pick: (metric: MetricName, labels: Labels) => LinePick | null;
  /** Where the value axis ends: at a fixed value, at the sum of the newest values, or wherever the values do. */
  readonly limit: number | 'sum' | null;
  /** A level to compare with: the number of cores. */
  readonly reference: 'cores' | null;
  /** Whether the chart is there on any host, only where there is something of its kind, or only where that happened. */
  readonly shown: 'always' | 'if-known' | 'if-above-zero';
};

const PLAIN = { note: '', limit: null, reference: null, shown: 'always' } as const;

const CPU_MODES: Readonly<Record<string, LinePick>> = {
  user: { group: 'user', order: 0, colour: 0 },
  nice: { group: 'nice', order: 1, colour: 1 },
  system: { group: 'system', order: 2, colour: 7 },
  interrupt: { group: 'interrupt', order: 3, colour: 6 },
  softirq: { group: 'softirq', order: 4, colour: 4 },
  steal: { group: 'steal', order: 5, colour: 5 },
  iowait: { group: 'iowait', order: 6, colour: 2 },
};

const MEMORY_STATES: Readonly<Record<string, LinePick>> = {
  used: { group: 'used', order: 0, colour: 0 },
  buffers: { group: 'buffers', order: 1, colour: 4 },
  cached: { group: 'cached', order: 2, colour: 1 },
  free: { group: 'free', order: 3, colour: NEUTRAL_COLOUR },
};

const LOADS: Readonly<Record<string, LinePick>> = {
  'system.cpu.load_average.1m': { group: '1 min', order: 0, colour: 0 },
  'system.cpu.load_average.5m': { group: '5 min', order: 1, colour: 7 },
  'system.cpu.load_average.15m': { group: '15 min', order: 2, colour: 4 },
};

/** Every chart of a host, in the order of the page. */
export const CHART_SPECS: readonly ChartSpec[] = [
  {
    ...PLAIN,
    id: 'cpu',
    title: 'CPU',
    note: 'all cores, by mode',
    limit: 1,
    look: { shape: 'stack', quantity: 'ratio' },
    metrics: ['system.cpu.utilization'],
    pick: (_metric, labels) => {
      const mode = only(labels, 'cpu.mode');
      if (mode === null || mode === 'idle') return null;
      return CPU_MODES[mode] ?? { group: mode };
    },
  },
  {
    ...PLAIN,
    id: 'cores',
    title: 'CPU cores',
    note: 'busy time of each core',
    limit: 1,
    look: { shape: 'lines', quantity: 'ratio' },
    metrics: ['system.cpu.utilization'],
    pick: (_metric, labels) => groupBy('core ', only(labels, 'cpu')),
  },
  {
    ...PLAIN,
    id: 'memory',
    title: 'Memory',
    limit: 'sum',
    look: { shape: 'stack', quantity: 'bytes' },
    metrics: ['system.memory.usage'],
    pick: (_metric, labels) => pickState(labels, 'system.memory.state'),
  },
  {
    ...PLAIN,
    id: 'load',
    title: 'Load',
    note: 'threads that run or wait',
    reference: 'cores',
    look: { shape: 'lines', quantity: 'number' },
    metrics: ['system.cpu.load_average.1m', 'system.cpu.load_average.5m', 'system.cpu.load_average.15m'],
    pick: (metric) => LOADS[metric] ?? null,
  },
  {
    ...PLAIN,
    id: 'swap',
    title: 'Swap',
    shown: 'if-known',
    limit: 'sum',
    look: { shape: 'stack', quantity: 'bytes' },
    metrics: ['system.paging.usage'],
    pick: (_metric, labels) => pickState(labels, 'system.paging.state'),
  },
  {
    ...PLAIN,
    id: 'pressure',
    title: 'Pressure',
    shown: 'if-known',
    note: 'share of time in which tasks stalled',
    look: { shape: 'lines', quantity: 'ratio' },
    metrics: ['system.pressure.stall_time'],
    pick: (_metric, labels) => {
      const resource = labels['system.pressure.resource'];
      return resource === undefined ? null : { group: `${resource} ${labels['system.pressure.kind'] ?? ''}`.trim() };
    },
  },
  {
    ...PLAIN,
    id: 'network',
    title: 'Network',
    note: 'received above zero, sent below',
    look: { shape: 'mirror', quantity: 'byte-rate' },
    metrics: ['system.network.io'],
    pick: pickNetwork,
  },
  {
    ...PLAIN,
    id: 'packets',
    title: 'Network packets',
    note: 'received above zero, sent below',
    look: { shape: 'mirror', quantity: 'rate' },
    metrics: ['system.network.packet.count'],
    pick: pickNetwork,
  },
  {
    ...PLAIN,
    id: 'disk',
    title: 'Disk I/O',
    note: 'read above zero, written below',
    look: { shape: 'mirror', quantity: 'byte-rate' },
    metrics: ['system.disk.io'],
    pick: pickDisk,
  },
  {
    ...PLAIN,
    id: 'operations',
    title: 'Disk operations',
    note: 'reads above zero, writes below',
    look: { shape: 'mirror', quantity: 'rate' },
    metrics: ['system.disk.operations'],
    pick: pickDisk,
  },
  {
    ...PLAIN,
    id: 'disk-busy',
    title: 'Disk utilization',
    note: 'share of time with an operation in flight',
    look: { shape: 'lines', quantity: 'ratio' },
    metrics: ['system.disk.io_time'],
    pick: (_metric, labels) => groupBy('', labels['system.device'] ?? null),
  },
  {
    ...PLAIN,
    id: 'filesystem',
    title: 'Filesystems',
    note: 'used space',
    limit: 1,
    look: { shape: 'lines', quantity: 'ratio' },
    metrics: ['system.filesystem.utilization'],
    pick: (_metric, labels) => groupBy('', labels['system.filesystem.mountpoint'] ?? null),
  },
  {
    ...PLAIN,
    id: 'network-errors',
    title: 'Network errors and drops',
    shown: 'if-above-zero',
    note: 'packets lost on an interface',
    look: { shape: 'lines', quantity: 'rate' },
    metrics: ['system.network.errors', 'system.network.packet.dropped'],
    pick: (metric, labels) => {
      const network = labels['network.interface.name'];
      const what = metric === 'system.network.errors' ? 'errors' : 'drops';
      const side = labels['network.io.direction'] === 'transmit' ? 'out' : 'in';
      return network === undefined ? null : { group: `${network} ${what} ${side}` };
    },
  },
];

function pickNetwork(_metric: MetricName, labels: Labels): LinePick | null {
  const group = labels['network.interface.name'];
  if (group === undefined) return null;
  return labels['network.io.direction'] === 'transmit' ? { group, side: 'out', below: true } : { group, side: 'in' };
}

function pickDisk(_metric: MetricName, labels: Labels): LinePick | null {
  const group = labels['system.device'];
  if (group === undefined) return null;
  return labels['disk.io.direction'] === 'write' ? { group, side: 'write', below: true } : { group, side: 'read' };
}

function pickState(labels: Labels, key: string): LinePick | null {
  const state = labels[key];
  return state === undefined ? null : (MEMORY_STATES[state] ?? { group: state });
}

function groupBy(prefix: string, name: string | null): LinePick | null {
  return name === null ? null : { group: `${prefix}${name}` };
}

/** The value of a label on a series that has no other. */
function only(labels: Labels, key: string): string | null {
  const value = labels[key];
  return value !== undefined && Object.keys(labels).length === 1 ? value : null;
}
