import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { err, ok, type Result } from '@muster/proto/result';

import { sharesOf } from '../rate.ts';
import { ratioOf } from '../ratio.ts';
import { parseCount, readText, splitLines } from '../read-text.ts';
import { remember } from '../remember.ts';
import type { Sample, Source } from '../source.ts';
import { findCount } from './fields.ts';
import { TICKS_PER_SECOND } from './ticks.ts';

/**
 * The first eight columns of a cpu line, in this order. Two more follow, guest and guest_nice: the kernel has counted
 * them in user and nice already (account_guest_time in kernel/sched/cputime.c), so they are passed over, and the eight
 * add up to all time. Source: kernel document filesystems/proc, section 1.7.
 */
const MODES = ['user', 'nice', 'system', 'idle', 'iowait', 'interrupt', 'softirq', 'steal'] as const;
export type CpuMode = (typeof MODES)[number];
export type CpuTimes = Readonly<Record<CpuMode, number>>;

/** Seconds since boot, of all cores together and of each core that is on, by its number. */
export type Cpu = {
  readonly all: CpuTimes;
  readonly cores: ReadonlyMap<string, CpuTimes>;
  /** Counted since boot; null where the kernel does not tell. */
  readonly switches: number | null;
  readonly interrupts: number | null;
};

/** Kernels before 2.6 stop after idle; steal came with 2.6.11. */
const COLUMNS_MIN = 4;
/** Both are sums that the kernel estimates per core, and proc(5) warns that iowait may decrease. */
const WAVERING: ReadonlySet<CpuMode> = new Set(['idle', 'iowait']);

const MODE_LABELS = Object.fromEntries(MODES.map((mode) => [mode, formatLabels({ 'cpu.mode': mode })])) as Readonly<
  Record<CpuMode, string>
>; // one entry for each of MODES

export function makeCpuSource(root: string): Source {
  const coreLabels = remember((core) => formatLabels({ cpu: core }));
  let previous: Cpu | null = null;
  return {
    name: 'cpu',
    read: () => {
      const cpu = readCpu(root);
      if (!cpu.ok) return cpu;
      const samples = [...sampleTimes(cpu.value), ...sampleUtilization(previous, cpu.value, coreLabels)];
      previous = cpu.value;
      return ok({ samples });
    },
  };
}

export function readCpu(root: string): Result<Cpu, string> {
  return parseCpu(readText(join(root, 'proc/stat')) ?? '');
}

export function parseCpu(text: string): Result<Cpu, string> {
  let all: CpuTimes | null = null;
  const cores = new Map<string, CpuTimes>();
  for (const line of splitLines(text)) {
    const match = /^cpu(\d*)\s+(.+)$/.exec(line);
    const times = match === null ? null : parseTimes(match[2] ?? '');
    if (match === null || times === null) continue;
    if (match[1] === '') all = times;
    else cores.set(match[1] ?? '', times);
  }
  if (all === null) return err('proc/stat has no line "cpu"');
  return ok({ all, cores, switches: findCount(text, 'ctxt'), interrupts: findCount(text, 'intr') });
}

function parseTimes(text: string): CpuTimes | null {
  const columns = text.trim().split(/\s+/);
  if (columns.length < COLUMNS_MIN) return null;
  const entries: [CpuMode, number][] = [];
  for (const [i, mode] of MODES.entries()) {
    const ticks = i < columns.length ? parseCount(columns[i]) : 0;
    if (ticks === null) return null;
    entries.push([mode, ticks / TICKS_PER_SECOND]);
  }
  return Object.fromEntries(entries) as CpuTimes; // one entry for each of MODES
}

function sampleTimes({ all, cores, switches, interrupts }: Cpu): Sample[] {
  const samples: Sample[] = MODES.map((mode) => ({
    metric: 'system.cpu.time',
    labels: MODE_LABELS[mode],
    value: all[mode],
  }));
  // A kernel of one core without SMP prints no line cpu0.
  samples.push({ metric: 'system.cpu.logical.count', labels: '', value: Math.max(1, cores.size) });
  if (switches !== null) samples.push({ metric: 'system.cpu.context_switches', labels: '', value: switches });
  if (interrupts !== null) samples.push({ metric: 'system.cpu.interrupts', labels: '', value: interrupts });
  return samples;
}

/** Utilization is over the time since the previous reading; without one, or after a reset, there is none. */
function sampleUtilization(previous: Cpu | null, current: Cpu, labelsOf: (core: string) => string): Sample[] {
  const metric = 'system.cpu.utilization';
  const samples: Sample[] = [];
  const shares = previous === null ? null : sharesOf(MODES, previous.all, current.all, WAVERING);
  if (shares !== null) {
    samples.push({ metric, labels: '', value: busyOf(shares) });
    for (const mode of MODES) samples.push({ metric, labels: MODE_LABELS[mode], value: shares[mode] });
  }
  for (const [core, times] of current.cores) {
    const before = previous?.cores.get(core);
    const coreShares = before === undefined ? null : sharesOf(MODES, before, times, WAVERING);
    if (coreShares !== null) samples.push({ metric, labels: labelsOf(core), value: busyOf(coreShares) });
  }
  return samples;
}

function busyOf(shares: CpuTimes): number {
  return ratioOf(1 - shares.idle - shares.iowait, 1);
}
