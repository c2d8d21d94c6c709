import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { ok } from '@muster/proto/result';

import { parseCount, readText, splitLines } from '../read-text.ts';
import type { Sample, Source } from '../source.ts';

const RESOURCES = ['cpu', 'memory', 'io'] as const;
export type Resource = (typeof RESOURCES)[number];
const KINDS = ['some', 'full'] as const;
export type PressureKind = (typeof KINDS)[number];

/** Seconds since boot in which some task, or all at once, waited for the resource. */
export type Pressure = Readonly<Partial<Record<PressureKind, number>>>;

const labelsOf = (resource: Resource, kind: PressureKind) =>
  formatLabels({ 'system.pressure.kind': kind, 'system.pressure.resource': resource });
const SERIES = RESOURCES.map((resource) => ({
  resource,
  labels: { some: labelsOf(resource, 'some'), full: labelsOf(resource, 'full') },
}));

export function makePressureSource(root: string): Source {
  return {
    name: 'pressure',
    read: () => {
      const samples: Sample[] = [];
      for (const { resource, labels } of SERIES) {
        const pressure = readPressure(root, resource);
        for (const kind of KINDS) {
          const value = pressure[kind];
          if (value !== undefined) samples.push({ metric: 'system.pressure.stall_time', labels: labels[kind], value });
        }
      }
      return ok(samples.length > 0 ? { samples } : { samples, remark: 'this kernel does not measure pressure (PSI)' });
    },
  };
}

/** Empty when the kernel has PSI off, and without `full` for the CPU before Linux 5.13. */
export function readPressure(root: string, resource: Resource): Pressure {
  return parsePressure(readText(join(root, 'proc/pressure', resource)) ?? '');
}

/** Source: kernel document accounting/psi. `total` is in microseconds; the averages beside it are derived from it. */
export function parsePressure(text: string): Pressure {
  const pressure: Partial<Record<PressureKind, number>> = {};
  for (const line of splitLines(text)) {
    const match = /^(some|full) .*\btotal=(\d+)$/.exec(line);
    const stalledMicroseconds = parseCount(match?.[2]);
    if (match !== null && stalledMicroseconds !== null)
      pressure[match[1] === 'some' ? 'some' : 'full'] = stalledMicroseconds / 1e6;
  }
  return pressure;
}
