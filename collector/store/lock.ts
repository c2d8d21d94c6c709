import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { formatHolder, parseHolder, parseStarted, type Holder } from '@muster/proto/holder';
import { describeError } from '@muster/proto/log';
import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

import { explainDataFault } from './data-fault.ts';
import { makeDirectory } from './make-directory.ts';

/**
 * Takes a data directory for this process, creating it (0700) where it is missing. The error says who holds it.
 *
 * The engine has a lock of its own but says neither who holds it nor that this is the trouble. A lock left by a killed
 * process is recognised by its process id and start time, and taken over.
 */
export async function lockDirectory(directory: string): Promise<Result<{ release: () => Promise<void> }, string>> {
  const file = join(directory, 'lock');
  try {
    await makeDirectory(directory);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      if (await createLock(file)) return ok({ release: () => rm(file, { force: true }) });
      const holder = await readHolder(file);
      if (holder !== null && (await readStarted(holder.pid)) === holder.started)
        return err(describeHolder(directory, holder));
      await rm(file, { force: true });
    }
  } catch (cause) {
    const fault = new Error(`Cannot use the data directory ${directory}`, { cause });
    return err(describeError(explainDataFault(directory, cause) ?? fault));
  }
  return err(`Cannot lock the data directory ${directory}: another process is starting on it; try again`);
}

/** The process that holds a data directory; null where none does. */
export async function findHolder(directory: string): Promise<number | null> {
  const holder = await readHolder(join(directory, 'lock'));
  return holder !== null && (await readStarted(holder.pid)) === holder.started ? holder.pid : null;
}

function describeHolder(directory: string, { pid }: Holder): string {
  return `Cannot open the data directory ${directory}: process ${pid} holds it; stop that one (kill ${pid}) or choose another with --data`;
}

async function createLock(file: string): Promise<boolean> {
  const holder: Holder = { pid: process.pid, started: (await readStarted(process.pid)) ?? '' };
  try {
    await writeFile(file, formatHolder(holder), { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (isRecord(error) && error['code'] === 'EEXIST') return false;
    throw error;
  }
}

async function readHolder(file: string): Promise<Holder | null> {
  return parseHolder(await readFile(file, 'utf8').catch(() => '')); // it may be gone meanwhile
}

/** null when there is no such process. */
async function readStarted(pid: number): Promise<string | null> {
  try {
    return parseStarted(
      await readFile(`/proc/${pid}/stat`, 'utf8'),
      await readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    );
  } catch {
    return null;
  }
}
