import { isRecord } from '@muster/proto/record';

import { parseJson } from '../../parse-json.ts';
import { toCount } from './answers.ts';

/** What only rises while a container runs: seconds, kills and bytes. */
export const COUNTERS = ['cpu', 'throttled', 'oomKills', 'received', 'transmitted', 'read', 'written'] as const;
export type CounterName = (typeof COUNTERS)[number];
export type Counts = Readonly<Partial<Record<CounterName, number>>>;

/** What a container uses. Absent and null: nobody says. */
export type Usage = {
  readonly counts: Counts;
  readonly memoryBytes: number | null;
  /** Memory that can be given back at once, because it is on a disk and was not used lately. */
  readonly inactiveFileBytes: number | null;
  readonly threads: number | null;
};

/** The counts that are there. */
export function toCounts(counts: Readonly<Record<CounterName, number | null>>): Counts {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== null)) as Counts; // null is gone
}

/** `count / per`; null stays null. */
export function scale(count: number | null, per: number): number | null {
  return count === null ? null : count / per;
}

/**
 * Reads the answer to `/containers/<id>/stats`; null when it is of another shape, or of a container that does not run. With
 * cgroup v1 the engine has both `inactive_file` and that of all groups below (`total_…`); Podman says nothing of it.
 */
export function parseStats(text: string): Usage | null {
  const answer = parseJson(text);
  if (!isRecord(answer)) return null;
  const cpuUsage = fieldOf(answer['cpu_stats'], 'cpu_usage');
  const cpu = toCount(fieldOf(cpuUsage, 'total_usage'));
  const memory = answer['memory_stats'];
  const memoryBytes = toCount(fieldOf(memory, 'usage'));
  if (!cpu || memoryBytes === null) return null; // a container that has run has used the CPU
  const stats = fieldOf(memory, 'stats');
  const throttling = fieldOf(answer['cpu_stats'], 'throttling_data');
  return {
    counts: toCounts({
      cpu: cpu / 1e9,
      throttled: scale(toCount(fieldOf(throttling, 'throttled_time')), 1e9),
      oomKills: null,
      received: addUp(answer['networks'], 'rx_bytes'),
      transmitted: addUp(answer['networks'], 'tx_bytes'),
      read: addUpBlocks(answer['blkio_stats'], 'read'),
      written: addUpBlocks(answer['blkio_stats'], 'write'),
    }),
    memoryBytes,
    inactiveFileBytes: toCount(fieldOf(stats, 'total_inactive_file')) ?? toCount(fieldOf(stats, 'inactive_file')),
    threads: toCount(fieldOf(answer['pids_stats'], 'current')),
  };
}

function fieldOf(value: unknown, key: string): unknown {
  return isRecord(value) ? value[key] : undefined;
}

/** Of all interfaces; null without any. */
function addUp(networks: unknown, key: string): number | null {
  const counts = Object.values(isRecord(networks) ? networks : {}).map((one) => toCount(fieldOf(one, key)));
  return counts.length === 0 ? null : addAll(counts);
}

/** Of all devices. `op` is "Read" with cgroup v1, "read" with v2. */
function addUpBlocks(blkio: unknown, direction: 'read' | 'write'): number | null {
  const entries = fieldOf(blkio, 'io_service_bytes_recursive');
  if (!Array.isArray(entries)) return null;
  const own = entries.filter((entry) => String(fieldOf(entry, 'op')).toLowerCase() === direction);
  return addAll(own.map((entry) => toCount(fieldOf(entry, 'value'))));
}

function addAll(counts: readonly (number | null)[]): number | null {
  let sum = 0;
  for (const count of counts) {
    if (count === null) return null;
    sum += count;
  }
  return sum;
}
