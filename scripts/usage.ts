import { readFileSync } from 'node:fs';

/** USER_HZ, which Linux has at 100 on every machine that we run on. */
const TICKS_PER_SECOND = 100;

/** What a process took since it was started, and holds: all that is resident, and the part that is its own alone. */
export type Usage = {
  readonly cpuMs: number;
  readonly rssBytes: number;
  readonly rssBytesMax: number;
  readonly anonymousBytes: number;
};

/** Source: proc(5), /proc/pid/stat fields 14 and 15, /proc/pid/status. */
export function readUsage(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const bytesOf = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
  return {
    cpuMs: ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND,
    rssBytes: bytesOf('VmRSS'),
    rssBytesMax: bytesOf('VmHWM'),
    anonymousBytes: bytesOf('RssAnon'),
  };
}
