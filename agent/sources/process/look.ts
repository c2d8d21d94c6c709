import { statSync } from 'node:fs';

import { NOWHERE, parsePlace } from './cgroup.ts';
import { labelsOf } from './identity.ts';
import { bytes, readStart } from './read-file.ts';
import type { ProcessStat } from './stat.ts';

/** What is looked at seldom: to which group a process belongs, and how much of its memory others may use too. */
export type Look = { readonly labels: string; readonly sharedPages: number };

export type LookOptions = { readonly hasArguments: boolean; readonly nameOf: (uid: number) => string };

/** Looks closer at the process of which `path` is the directory. Null when it is gone. */
export function lookAt(path: string, stat: ProcessStat, { hasArguments, nameOf }: LookOptions): Look | null {
  const uid = readUid(path);
  if (uid === null) return null;
  const { name, isKernel } = stat;
  const place = isKernel ? NOWHERE : parsePlace(readHead(`${path}/cgroup`));
  const commandLine = hasArguments ? readHead(`${path}/cmdline`).replaceAll('\0', ' ') : null;
  // Source: proc_pid_statm(5), the third number.
  const shared = isKernel ? 0 : Number(readHead(`${path}/statm`).split(' ')[2] ?? 0);
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

/** The start of a file as text, empty when there is none. */
function readHead(path: string): string {
  const length = readStart(path);
  return length > 0 ? bytes.toString('utf8', 0, length) : '';
}
