import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { formatHolder, parseHolder, parseStarted, type Holder } from '@muster/proto/holder';
import { isRecord } from '@muster/proto/record';

import { readBytes } from './read-text.ts';

/** So often a lock that a killed process has left is taken away: others that start at the same moment do so too. */
const TRIES_MAX = 5;

/**
 * Takes a state directory for this process, so that no two write into one spool. Throws, saying who holds it. A lock
 * that a killed process has left is taken over. Where none can be written, the agent does without: its spool cannot be
 * written either.
 */
export function lockState(directory: string): { readonly release: () => void } {
  const file = join(directory, 'lock');
  for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
    const created = createLock(file);
    if (created === 'created') return { release: () => rmSync(file, { force: true }) };
    if (created === 'impossible') break;
    const holder = readHolder(file);
    if (isRunning(holder)) throw new Error(describeHolder(directory, holder));
    takeAway(file);
  }
  return { release: () => undefined };
}

/**
 * The process id of the agent that has taken a state directory; null when none runs. In a container a service may be shown
 * another boot id than who asks beside it: that it was started at the same tick says enough.
 */
export function findHolder(directory: string): number | null {
  const holder = readHolder(join(directory, 'lock'));
  const isSame = holder !== null && tickOf(readStarted(holder.pid)) === tickOf(holder.started);
  return isSame ? holder.pid : null;
}

function tickOf(started: string | null): string | undefined {
  return started?.split(' ')[0];
}

function describeHolder(directory: string, { pid }: Holder): string {
  return `Cannot use the state directory ${directory}: the agent with process id ${pid} uses it; stop that one (kill ${pid}) or name another directory by --state`;
}

/** It has its text before it has its name: nobody takes it for one that a kill has torn. */
function createLock(file: string): 'created' | 'exists' | 'impossible' {
  const own = `${file}.${process.pid}`;
  const holder = { pid: process.pid, started: readStarted(process.pid) ?? '' };
  try {
    rmSync(own, { force: true, recursive: true }); // of one that was killed, and had this id
    writeFileSync(own, formatHolder(holder), { mode: 0o600, flag: 'wx' });
    linkSync(own, file);
    return 'created';
  } catch (error) {
    return isRecord(error) && error['code'] === 'EEXIST' ? 'exists' : 'impossible';
  } finally {
    rmSync(own, { force: true, recursive: true });
  }
}

/** Another one may have taken it away already, and put its own there: that is given back. */
function takeAway(file: string): void {
  const aside = `${file}.${process.pid}.old`;
  try {
    renameSync(file, aside);
    if (isRunning(readHolder(aside))) linkSync(aside, file);
    rmSync(aside, { recursive: true });
  } catch {
    // The next try shows what is there now.
  }
}

function isRunning(holder: Holder | null): holder is Holder {
  return holder !== null && readStarted(holder.pid) === holder.started;
}

function readHolder(file: string): Holder | null {
  try {
    return parseHolder(readBytes(file).toString('utf8'));
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
