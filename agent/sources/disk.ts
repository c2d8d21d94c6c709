import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { err, ok, type Result } from '@muster/proto/result';

import { parseCount, readText, splitLines, tryText } from '../read-text.ts';
import { KEEP_NOTHING, makeRebase, type Keep } from '../rebase.ts';
import { remember } from '../remember.ts';
import type { Sample, Source } from '../source.ts';

export type DiskDirection = 'read' | 'write';

/** Counted since boot. `seconds` adds up the time of every operation, so that it may run faster than the clock. */
export type DiskWork = { readonly operations: number; readonly bytes: number; readonly seconds: number };

/** `busySeconds`: the time with at least one operation in flight. */
export type Disk = Readonly<Record<DiskDirection, DiskWork>> & { readonly name: string; readonly busySeconds: number };

/** A sector in /proc/diskstats is 512 bytes, whatever the device has. Source: kernel document block/stat. */
const SECTOR_BYTES = 512;

/**
 * Block devices that are no disk of their own: backed by files (loop) or memory (ram, zram), put together from others
 * whose work would count twice (dm, md), or drives without a disk in them most of the time (sr, fd).
 */
const VIRTUAL_PATTERN = /^(loop|ram|zram|dm-|md|sr|fd)\d/;

export function makeDiskSource(root: string, keep: Keep = KEEP_NOTHING): Source {
  const labelsOf = remember((device) => ({
    all: formatLabels({ 'system.device': device }),
    read: formatLabels({ 'disk.io.direction': 'read', 'system.device': device }),
    write: formatLabels({ 'disk.io.direction': 'write', 'system.device': device }),
  }));
  const rebase = makeRebase({ identify: (name) => identify(root, name), keep });
  return {
    name: 'disks',
    read: () => {
      const disks = readDisks(root);
      if (!disks.ok) return disks;
      const counters = rebase(new Map(disks.value.map((disk) => [disk.name, toCounters(disk)])));
      return ok({ samples: [...counters].flatMap(([name, counts]) => sampleDisk(counts, labelsOf(name))) });
    },
  };
}

/** The whole disks of the machine: /sys/block lists no partitions. A machine without disks has an empty list. */
export function readDisks(root: string): Result<Disk[], string> {
  // Where a device's name has a slash (cciss/c0d0), its directory has an exclamation mark.
  const whole = new Set(readdirSync(join(root, 'sys/block')).map((entry) => entry.replaceAll('!', '/')));
  const text = readText(join(root, 'proc/diskstats'));
  if (text === null) return err('there is no proc/diskstats');
  const disks = parseDisks(text);
  if (disks.length === 0 && whole.size > 0) return err('proc/diskstats lists none of the disks in sys/block');
  return ok(disks.filter(({ name }) => whole.has(name) && !VIRTUAL_PATTERN.test(name)));
}

/**
 * Every block device, partitions too. Source: kernel document admin-guide/iostats: 14 columns, 18 with discards since
 * 4.18, 20 with flushes since 5.5. Lines of 7 columns are partitions of kernels before 2.6.25.
 */
export function parseDisks(text: string): Disk[] {
  const disks: Disk[] = [];
  for (const line of splitLines(text)) {
    const [, , name, ...columns] = line.trim().split(/\s+/);
    const counts = columns.slice(0, 11).map(parseCount);
    if (name === undefined || counts.length < 11) continue;
    const [reads, , readSectors, readMs, writes, , writtenSectors, writeMs, , busyMs] = counts;
    const read = toWork(reads, readSectors, readMs);
    const write = toWork(writes, writtenSectors, writeMs);
    if (read === null || write === null || typeof busyMs !== 'number') continue;
    disks.push({ name, read, write, busySeconds: busyMs / 1000 });
  }
  return disks;
}

type Count = number | null | undefined;

function toWork(operations: Count, sectors: Count, ms: Count): DiskWork | null {
  if (typeof operations !== 'number' || typeof sectors !== 'number' || typeof ms !== 'number') return null;
  return { operations, bytes: sectors * SECTOR_BYTES, seconds: ms / 1000 };
}

/** A number that no other disk gets while the machine runs (Linux 5.15), or the number of the device. */
function identify(root: string, name: string): string | null {
  const directory = join(root, 'sys/block', name.replaceAll('/', '!'));
  return tryText(join(directory, 'diskseq')) ?? tryText(join(directory, 'dev'));
}

const COUNTED = [
  ['all', 'system.disk.io_time'],
  ['read', 'system.disk.io'],
  ['read', 'system.disk.operations'],
  ['read', 'system.disk.operation_time'],
  ['write', 'system.disk.io'],
  ['write', 'system.disk.operations'],
  ['write', 'system.disk.operation_time'],
] as const;

/** In the order of COUNTED. */
function toCounters({ busySeconds, read, write }: Disk): number[] {
  return [busySeconds, ...[read, write].flatMap(({ bytes, operations, seconds }) => [bytes, operations, seconds])];
}

function sampleDisk(counts: readonly number[], labels: Readonly<Record<DiskDirection | 'all', string>>): Sample[] {
  return COUNTED.map(([which, metric], i) => ({ metric, labels: labels[which], value: counts[i] ?? 0 }));
}
