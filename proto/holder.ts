import { isRecord } from './record.ts';

/** The process that holds a directory: its id, and when it was started, because ids are used again. */
export type Holder = { readonly pid: number; readonly started: string };

export function formatHolder(holder: Holder): string {
  return JSON.stringify(holder);
}

/** Reads the text of a lock file; null for one that was torn by a kill: nobody holds it. */
export function parseHolder(text: string): Holder | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!isRecord(value) || typeof value['pid'] !== 'number' || typeof value['started'] !== 'string') return null;
    return { pid: value['pid'], started: value['started'] };
  } catch {
    return null;
  }
}

/**
 * When a process was started, in clock ticks since boot and with the boot's id, from `/proc/PID/stat` and
 * `/proc/sys/kernel/random/boot_id`. null for one that has ended and whose parent has not asked yet how.
 */
export function parseStarted(stat: string, bootId: string): string | null {
  // proc(5): fields 3 (state) and 22 (start); field 2, the name, may hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? null : `${fields[19]} ${bootId.trim()}`;
}
