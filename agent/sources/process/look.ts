import { statSync } from 'node:fs';

import { NOWHERE, parsePlace } from './cgroup.ts';
import { labelsOf } from './identity.ts';
import { bytes, FULL } from './read-file.ts';
import type { ProcessStat } from './stat.ts';

/** What is looked at seldom: to which group a process belongs, and how much of its memory others may use too. */
export type Look = { readonly labels: string; readonly sharedPages: number };

export type LookOptions = {
  readonly hasArguments: boolean;
  readonly nameOf: (uid: number) => string;
  /** As `readStart`. */
  readonly readFile: (path: string) => number;
};

/** Looks closer at the process of which `path` is the directory. Null when it is gone, or no descriptor is left to look with. */
export function lookAt(path: string, stat: ProcessStat, { hasArguments, nameOf, readFile }: LookOptions): Look | null {
  const uid = readUid(path);
  if (uid === null) return null;
  const { name, isKernel } = stat;
  const cgroup = isKernel ? '' : readHead(readFile(`${path}/cgroup`));
  const command = hasArguments ? readHead(readFile(`${path}/cmdline`)) : '';
  const memory = isKernel ? '' : readHead(readFile(`${path}/statm`));
  if (cgroup === null || command === null || memory === null) return null;
  const place = isKernel ? NOWHERE : parsePlace(cgroup);
  const commandLine = hasArguments ? command.replaceAll('\0', ' ') : null;
  const shared = Number(memory.split(' ')[2] ?? 0); // source: proc_pid_statm(5), the third number
  return {
    labels: labelsOf({ name, isKernel, uid, place, commandLine }, nameOf),
    sharedPages: Number.isSafeInteger(shared) && shared > 0 ? shared : 0,
  };
}

/** The directory belongs to whom the process acts as, whatever else is hidden. Null when it is gone. */
function readUid(path: string): number | null {
  try {
    return statSync(path, { throwIfNoEntry: false })?.uid ?? null;
  } catch {
    return null;
  }
}

/** The start of a file as text, of which there are so many bytes; empty when there is none, null when it could not be opened. */
function readHead(length: number): string | null {
  if (length === FULL) return null;
  return length > 0 ? bytes.toString('utf8', 0, length) : '';
}
