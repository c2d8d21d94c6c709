import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { formatHolder, parseHolder, parseStarted, type Holder } from '@muster/proto/holder';
import { describeError } from '@muster/proto/log';
import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

import { DATA_DIRECTORY, explainDataFault, type ChosenDirectory } from './data-fault.ts';
import { makeDirectory } from './make-directory.ts';

/** Who took a lock for one that was left behind has taken it away by then: it is looked at once more. */
const SETTLE_MS = 50;

/** So often a lock that a killed process has left is taken away: others that start at the same moment do so too. */
const TRIES_MAX = 5;

/**
 * Takes a directory for this process, creating it (0700) where it is missing. The error says who holds it.
 *
 * The engine has a lock of its own but says neither who holds it nor that this is the trouble. A lock left by a killed
 * process is recognised by its process id and start time, and taken over.
 */
export async function lockDirectory(
  directory: string,
  chosen = DATA_DIRECTORY,
): Promise<Result<{ release: () => Promise<void> }, string>> {
  const file = join(directory, 'lock');
  try {
    await makeDirectory(directory);
    for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
      if (await createLock(file)) {
        await sleep(SETTLE_MS);
        if ((await readHolder(file))?.pid === process.pid) return ok({ release: () => rm(file, { force: true }) });
        continue;
      }
      const holder = await readHolder(file);
      if (holder !== null && (await isRunning(holder))) return err(describeHolder(directory, chosen, holder));
      await takeAway(file);
    }
  } catch (cause) {
    const fault = new Error(`Cannot use the ${chosen.name} ${directory}`, { cause });
    return err(describeError(explainDataFault(directory, cause, chosen) ?? fault));
  }
  return err(`Cannot lock the ${chosen.name} ${directory}: another process is starting on it; try again`);
}

/** The process that holds a directory; null where none does. */
export async function findHolder(directory: string): Promise<number | null> {
  const holder = await readHolder(join(directory, 'lock'));
  return holder !== null && (await isRunning(holder)) ? holder.pid : null;
}

async function isRunning(holder: Holder): Promise<boolean> {
  return (await readStarted(holder.pid)) === holder.started;
}

function describeHolder(directory: string, { name, option, whenHeld }: ChosenDirectory, { pid }: Holder): string {
  return `Cannot open the ${name} ${directory}: process ${pid} holds it; ${whenHeld(pid)} or choose another with ${option}`;
}

/** It has its text before it has its name: nobody takes it for one that a kill has torn. */
async function createLock(file: string): Promise<boolean> {
  const own = `${file}.${process.pid}`;
  const holder: Holder = { pid: process.pid, started: (await readStarted(process.pid)) ?? '' };
  try {
    await writeFile(own, formatHolder(holder), { mode: 0o600 });
    await link(own, file);
    return true;
  } catch (error) {
    if (isRecord(error) && error['code'] === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(own, { force: true });
  }
}

/** Another one may have taken it away already, and put its own there: that is given back, unless there is a third. */
async function takeAway(file: string): Promise<void> {
  const aside = `${file}.${process.pid}.old`;
  try {
    const now = await readHolder(file);
    if (now !== null && (await isRunning(now))) return;
    await rename(file, aside);
    const holder = await readHolder(aside);
    if (holder !== null && (await isRunning(holder))) await link(aside, file);
  } catch {
    // The next try shows what is there now.
  } finally {
    await rm(aside, { force: true });
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
