import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { formatHolder, parseHolder, parseStarted, type Holder } from '@muster/proto/holder';
import { isRecord } from '@muster/proto/record';

/**
 * Takes a state directory for this process, so that no two write into one spool. Throws, saying who holds it. A lock
 * that a killed process has left is taken over. Where none can be written, the agent does without: its spool cannot be
 * written either.
 */
export function lockState(directory: string): { readonly release: () => void } {
  const file = join(directory, 'lock');
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const created = createLock(file);
    if (created === 'created') return { release: () => rmSync(file, { force: true }) };
    if (created === 'impossible') break;
    const holder = readHolder(file);
    if (holder !== null && readStarted(holder.pid) === holder.started)
      throw new Error(describeHolder(directory, holder));
    rmSync(file, { force: true, recursive: true });
  }
  return { release: () => undefined };
}

function describeHolder(directory: string, { pid }: Holder): string {
  return `Cannot use the state directory ${directory}: the agent with process id ${pid} uses it; stop that one (kill ${pid}) or name another directory by --state`;
}

function createLock(file: string): 'created' | 'exists' | 'impossible' {
  const holder = { pid: process.pid, started: readStarted(process.pid) ?? '' };
  try {
    writeFileSync(file, formatHolder(holder), { flag: 'wx', mode: 0o600 });
    return 'created';
  } catch (error) {
    return isRecord(error) && error['code'] === 'EEXIST' ? 'exists' : 'impossible';
  }
}

function readHolder(file: string): Holder | null {
  try {
    return parseHolder(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

/** null when there is no such process. */
function readStarted(pid: number): string | null {
  try {
    return parseStarted(
      readFileSync(`/proc/${pid}/stat`, 'utf8'),
      readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'),
    );
  } catch {
    return null;
  }
}
