import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { ok } from '@muster/proto/result';

import { listDirectory } from '../list-directory.ts';
import { parseCount, tryText } from '../read-text.ts';
import { remember } from '../remember.ts';
import type { Sample, Source } from '../source.ts';

/** Some drivers ask the core itself, and wake it. */
const EVERY_MS = 30_000;

/** The present clock of each core, where the kernel governs it; a virtual machine has none. */
export function makeFrequencySource(root: string): Source {
  const labelsOf = remember((core) => formatLabels({ cpu: core }));
  return {
    name: 'frequency',
    everyMs: EVERY_MS,
    read: () => {
      const samples = [...readFrequencies(root)].map(([core, value]): Sample => ({
        metric: 'system.cpu.frequency',
        labels: labelsOf(core),
        value,
      }));
      return ok({ samples });
    },
  };
}

/**
 * In Hz, by the number of the core. Source: kernel document admin-guide/pm/cpufreq: scaling_cur_freq, in kHz, or
 * `<unknown>`.
 */
export function readFrequencies(root: string): ReadonlyMap<string, number> {
  const directory = join(root, 'sys/devices/system/cpu');
  const frequencies = new Map<string, number>();
  for (const name of listDirectory(directory)) {
    const core = /^cpu(\d+)$/.exec(name)?.[1];
    const kilohertz =
      core === undefined ? null : parseCount(tryText(join(directory, name, 'cpufreq/scaling_cur_freq'))?.trimEnd());
    if (core !== undefined && kilohertz !== null && kilohertz > 0) frequencies.set(core, kilohertz * 1000);
  }
  return frequencies;
}
