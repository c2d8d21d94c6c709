import { crc32 } from 'node:zlib';

import type { Sample } from '../../agent/source.ts';

/** Gauges and counters, with labels that need escaping among them. */
const SERIES = [
  ['system.cpu.utilization', ''],
  ['system.cpu.utilization', 'cpu.mode=user'],
  ['system.cpu.utilization', 'cpu.mode=system'],
  ['system.memory.utilization', ''],
  ['system.memory.usage', 'system.memory.state=used'],
  ['system.memory.usage', 'system.memory.state=free'],
  ['system.filesystem.utilization', 'system.filesystem.mountpoint=/a\\,b'],
  ['system.network.io', 'network.io.direction=receive'],
  ['system.network.io', 'network.io.direction=transmit'],
  ['system.uptime', ''],
] as const;

/** Ratios stay below one, and everything else is a count. */
const RATIO_PATTERN = /\.utilization$/;

/** All samples of a host at one tick: they follow from the two, so that whoever sees one can say whether it is right. */
export function makeSamples(host: string, tsMs: number): readonly Sample[] {
  return SERIES.map(([metric, labels]) => ({ metric, labels, value: valueOf({ host, metric, labels, tsMs }) }));
}

export type SampleName = {
  readonly host: string;
  readonly metric: string;
  readonly labels: string;
  readonly tsMs: number;
};

export function valueOf({ host, metric, labels, tsMs }: SampleName): number {
  const drawn = crc32(`${host} ${metric} ${labels} ${tsMs}`);
  return RATIO_PATTERN.test(metric) ? drawn / 2 ** 32 : drawn;
}
