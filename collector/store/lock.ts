import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

type Holder = { readonly pid: number; readonly started: string };

/**
 * Takes a data directory for this process, creating it (0700) where it is missing. The error says who holds it.
 *
 * The engine has a lock of its own but says neither who holds it nor that this is the trouble. A lock left by a killed
 * process is recognised by its process id and start time, and taken over.
 */
export async function lockDirectory(directory: string): Promise<Result<{ release: () => Promise<void> }, string>> {
  const file = join(directory, 'lock');
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (let attempt = 0; attempt < 2; attempt += 1) {
      if (await createLock(file)) return ok({ release: () => rm(file, { force: true }) });
      const holder = await readHolder(file);
      if (holder !== null && (await readStarted(holder.pid)) === holder.started)
        return err(describeHolder(directory, holder));
      await rm(file, { force: true });
    }
  } catch (cause) {
    return err(`Cannot use the data directory ${directory}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  return err(`Cannot lock the data directory ${directory}: another process is starting on it; try again`);
}

function describeHolder(directory: string, { pid }: Holder): string {
  return `Cannot open the data directory ${directory}: process ${pid} holds it; stop that one (kill ${pid}) or choose another with --data`;
}

async function createLock(file: string): Promise<boolean> {
  const holder: Holder = { pid: process.pid, started: (await readStarted(process.pid)) ?? '' };
  try {
    await writeFile(file, JSON.stringify(holder), { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (isRecord(error) && error['code'] === 'EEXIST') return false;
    throw error;
  }
}

async function readHolder(file: string): Promise<Holder | null> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (!isRecord(value) || typeof value['pid'] !== 'number' || typeof value['started'] !== 'string') return null;
    return { pid: value['pid'], started: value['started'] };
  } catch {
    return null; // gone meanwhile, or torn by a kill: nobody holds it
  }
}

/** When a process was started, in clock ticks since boot and with the boot's id; null when there is no such process. */
async function readStarted(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    // proc(5): fields 3 (state) and 22 (start); field 2, the name, may hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie holds nothing any more; its parent only has not asked how it ended.
    return fields[0] === 'Z' || fields[0] === 'X' ? null : `${fields[19]} ${boot.trim()}`;
  } catch {
    return null;
  }
}
