import type { LatestValue } from '@muster/proto/api';
import { formatLabels, type Labels } from '@muster/proto/labels';
import type { MetricName } from '@muster/proto/metric';

import { compareNames } from '../compare-names.ts';
import { pickTold, readTold, takeReading } from './reading.ts';

/** Processes of one name, owner and place, together. null: not among those that use the most of it. */
export type ProcessGroup = {
  readonly name: string;
  readonly owner: string;
  /** The container or unit in which they run; else empty. */
  readonly place: string;
  /** Empty where the agent does not tell it. */
  readonly commandLine: string;
  readonly cores: number | null;
  readonly memoryBytes: number | null;
  readonly diskBytesPerSecond: number | null;
};

const METRICS: readonly MetricName[] = ['process.cpu.usage', 'process.memory.usage', 'process.disk.rate'];
const INFO = new Set<string>(['container.info'] satisfies readonly MetricName[]);

/** The processes that use the most at `atMs`, by the clock of the host: by CPU, then by memory. */
export function listProcesses(latest: ReadonlyMap<string, LatestValue>, atMs: number): ProcessGroup[] {
  const groups = Map.groupBy(takeReading(latest.values(), METRICS, atMs), ({ labels }) => formatLabels(labels));
  const containers = new Map(
    pickTold(latest.values(), INFO).map(({ labels }) => [labels['container.id'] ?? '', labels['container.name'] ?? '']),
  );
  return [...groups.values()]
    .map((told) => {
      const labels = told[0]?.labels ?? {};
      return {
        name: labels['process.executable.name'] ?? '',
        owner: labels['process.owner'] ?? '',
        place: findPlace(labels, containers),
        commandLine: labels['process.command_line'] ?? '',
        cores: readTold(told, 'process.cpu.usage'),
        memoryBytes: readTold(told, 'process.memory.usage'),
        diskBytesPerSecond: readTold(told, 'process.disk.rate'),
      };
    })
    .toSorted(compareUse);
}

function compareUse(a: ProcessGroup, b: ProcessGroup): number {
  return (
    (b.cores ?? -1) - (a.cores ?? -1) ||
    (b.memoryBytes ?? -1) - (a.memoryBytes ?? -1) ||
    compareNames(a.name, b.name) ||
    compareNames(a.owner, b.owner)
  );
}

/** A container by its name, where the engine tells the names: nobody knows containers by their ids. */
function findPlace(labels: Labels, containers: ReadonlyMap<string, string>): string {
  const id = labels['container.id'];
  if (id !== undefined) return `container ${containers.get(id.slice(0, 12)) ?? id.slice(0, 12)}`;
  return labels['systemd.unit.name'] ?? '';
}
