import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { err, ok, type Result } from '@muster/proto/result';

import { readText } from '../read-text.ts';
import type { Sample, Source } from '../source.ts';
import { parseFields } from './fields.ts';

/** The kernel adds up its table over all cores for it. */
const EVERY_MS = 5_000;

/** Counted since boot: pages swapped in and out, and faults; a major one waits for the disk. */
export type Paging = {
  readonly pagesIn: number;
  readonly pagesOut: number;
  readonly majorFaults: number;
  readonly minorFaults: number;
};

const IN = formatLabels({ 'system.paging.direction': 'in' });
const OUT = formatLabels({ 'system.paging.direction': 'out' });
const MAJOR = formatLabels({ 'system.paging.fault.type': 'major' });
const MINOR = formatLabels({ 'system.paging.fault.type': 'minor' });

export function makePagingSource(root: string): Source {
  return {
    name: 'paging',
    everyMs: EVERY_MS,
    read: () => {
      const paging = readPaging(root);
      return paging.ok ? ok({ samples: samplePaging(paging.value) }) : paging;
    },
  };
}

export function readPaging(root: string): Result<Paging, string> {
  const text = readText(join(root, 'proc/vmstat'));
  return text === null ? err('there is no proc/vmstat') : parsePaging(text);
}

/** Source: proc(5), /proc/vmstat. `pgfault` counts the major faults too. A kernel without swap has no `pswpin`. */
export function parsePaging(text: string): Result<Paging, string> {
  const fields = parseFields(text);
  const faults = fields.get('pgfault');
  const majorFaults = fields.get('pgmajfault');
  if (faults === undefined || majorFaults === undefined) return err('proc/vmstat has no pgfault and pgmajfault');
  return ok({
    pagesIn: fields.get('pswpin') ?? 0,
    pagesOut: fields.get('pswpout') ?? 0,
    majorFaults,
    minorFaults: Math.max(0, faults - majorFaults),
  });
}

function samplePaging({ pagesIn, pagesOut, majorFaults, minorFaults }: Paging): Sample[] {
  return [
    { metric: 'system.paging.operations', labels: IN, value: pagesIn },
    { metric: 'system.paging.operations', labels: OUT, value: pagesOut },
    { metric: 'system.paging.faults', labels: MAJOR, value: majorFaults },
    { metric: 'system.paging.faults', labels: MINOR, value: minorFaults },
  ];
}
