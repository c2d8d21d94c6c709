import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { ok } from '@muster/proto/result';

import { compareNumbered } from '../compare-numbered.ts';
import { listDirectory } from '../list-directory.ts';
import { remember } from '../remember.ts';
import type { Finding, Sample, Source } from '../source.ts';
import { parseSmart, type Smart } from './smart/parse-smart.ts';
import { runProgram } from './smart/run-program.ts';

/** What wears out does so over months; and each look starts a process for each disk. */
const EVERY_MS = 1_800_000;
/** A disk that hangs is not waited for much longer than one that is busy. */
const DEADLINE_MS = 20_000;
/** Beyond that, disks that all hang would take longer than there is between two readings. */
const DISKS_MAX = 64;

export type SmartOptions = {
  readonly root: string;
  readonly program: string;
};

/**
 * The health of disks, by smartctl: there is no other way from here than to start it, once for each disk, one after the
 * other. A disk that sleeps is not woken. What one reading finds goes with the next tick, and is all there is until then.
 */
export function makeSmartSource({ root, program }: SmartOptions): Source {
  let isAllowed = true;
  const giveUp = new AbortController();
  return {
    name: 'smart',
    everyMs: EVERY_MS,
    answerMsMax: DISKS_MAX * DEADLINE_MS,
    read: async () => {
      const samples: Sample[] = [];
      const silent: string[] = [];
      const told = new Set<string>();
      for (const disk of listDisks(root)) {
        if (giveUp.signal.aborted) break;
        const argv = ['--json=c', '--nocheck=standby', '--all', `/dev/${disk}`];
        const output = await runProgram({ program, argv, deadlineMs: DEADLINE_MS, signal: giveUp.signal });
        const smart = output.ok ? parseSmart(output.value) : output;
        if (smart.ok) samples.push(...sampleSmart(identify(disk, smart.value, told), smart.value));
        else silent.push(`${disk}: ${smart.error}`);
      }
      isAllowed = samples.length > 0 || silent.length === 0;
      return ok({ samples, ...(silent.length === 0 ? {} : { remark: silent.join('; ').slice(0, 500) }) });
    },
    diagnose: async () => (isAllowed ? [] : [FORBIDDEN]),
    close: async () => giveUp.abort(),
  };
}

const FORBIDDEN: Finding = {
  what: 'no disk says how it is',
  next: 'install smartmontools; the drop-in smart.conf of the service lets it ask the disks',
};

/** Whole disks that may know something of themselves. */
export function listDisks(root: string): readonly string[] {
  const names = listDirectory(join(root, 'sys/block')).filter((name) => /^(sd[a-z]+|nvme\d+n\d+)$/.test(name));
  return names.toSorted(compareNumbered).slice(0, DISKS_MAX);
}

/**
 * What the kernel calls a disk may be another one's name after the next start. It stands in where the disk does not say
 * which it is, or says what another one has said: bridges to USB may, and so do two namespaces of one NVMe disk.
 */
function identify(disk: string, { id, model }: Smart, told: Set<string>): string {
  const own = `${id}\0${model}`;
  if (id === null || told.has(own)) return disk;
  told.add(own);
  return id;
}

const labelsOf = remember((key) => {
  const [id = '', name = '', type] = key.split('\0');
  return formatLabels({ 'hw.id': id, 'hw.name': name, ...(type === undefined ? {} : { 'error.type': type }) });
});

function sampleSmart(id: string, { model, ...smart }: Smart): Sample[] {
  const labels = labelsOf(`${id}\0${model}`);
  const values = [
    ['hw.physical_disk.smart.passed', smart.isPassed === null ? null : Number(smart.isPassed)],
    ['hw.temperature', smart.celsius],
    ['hw.physical_disk.power_on_time', smart.poweredSeconds],
    ['hw.physical_disk.endurance_utilization', smart.wornRatio],
  ] as const;
  const samples = values.flatMap(([metric, value]): Sample[] => (value === null ? [] : [{ metric, labels, value }]));
  for (const [type, value] of smart.errors) {
    samples.push({ metric: 'hw.physical_disk.errors', labels: labelsOf(`${id}\0${model}\0${type}`), value });
  }
  return samples;
}
