import type { Log } from '@muster/proto/log';

import type { Jobs } from './jobs.ts';
import { pruneBackups } from './store/backup.ts';
import { listBackups } from './store/backup-folder.ts';

/** After one that failed: soon enough for a disk that was full, rare enough for a log. */
const RETRY_MS = 15 * 60_000;

export type BackupsOptions = {
  readonly folder: string;
  readonly everyMs: number;
  readonly keep: number;
  readonly start: Jobs['start'];
  readonly log: Log;
  readonly now: () => number;
};

/**
 * Gives what makes a backup when one is due, and removes old ones; call it every minute or so. Due is by when the newest
 * one was begun, whoever made it, so that a restart neither repeats nor forgets one.
 */
export function makeBackups({ folder, everyMs, keep, start, log, now }: BackupsOptions) {
  let failedMs = -Infinity;

  async function isDue(): Promise<boolean> {
    if (now() - failedMs < RETRY_MS) return false;
    const newest = (await listBackups(folder)).at(-1);
    // A clock that was set back must not put the next one off.
    return newest === undefined || Math.abs(now() - newest.manifest.startedMs) >= everyMs;
  }

  return async (signal: AbortSignal): Promise<void> => {
    if (!(await isDue())) return;
    const started = start('backup', {}, { signal, onProgress: () => undefined });
    if (!started.ok) return; // another job is running; there is a next time
    const end = await started.value.ended;
    if ('error' in end) {
      if (end.error.code === 'cancelled') return;
      failedMs = now();
      const todo = `mend that, or try by hand: node scripts/backup.ts create; tried again in ${RETRY_MS / 60_000} min`;
      log.error('backup.failed', { folder, error: end.error.message, todo });
      return;
    }
    log.info('backup.made', { ...end.result });
    const pruned = await pruneBackups(folder, keep);
    if (pruned.length > 0) log.info('backup.pruned', { folder, pruned });
  };
}
