import { resolve } from 'node:path';

import * as v from 'valibot';

import { defineJob } from '../job.ts';
import manifest from '../package.json' with { type: 'json' };
import { createBackup, type BackupReport } from '../store/backup.ts';

export type BackupJobReport = BackupReport & { readonly folder: string };

/** Backs up the store. `to`: where whoever asks takes the backups to be; another place is refused. */
export const BACKUP_JOB = defineJob({
  name: 'backup',
  options: v.strictObject({ full: v.optional(v.boolean(), false), to: v.optional(v.string(), '') }),
  async run(store, { full, to }, { onProgress, signal }): Promise<BackupJobReport> {
    const folder = store.backups;
    if (folder === null)
      throw new Error('The store is on a ClickHouse server, which makes its own backups: BACKUP DATABASE … TO Disk(…)');
    if (to !== '' && resolve(to) !== folder)
      throw new Error(
        `The collector writes its backups to ${folder}, not to ${to}: leave --backup-to out, or start it with that`,
      );
    const report = await createBackup(store, {
      folder,
      isFull: full,
      version: manifest.version,
      now: store.now,
      signal,
      onProgress: ({ step, bytesDone, bytesTotal }) =>
        onProgress({ done: bytesDone, total: bytesTotal, what: `bytes, ${step}` }),
    });
    return { ...report, folder };
  },
});
