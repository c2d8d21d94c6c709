import { setTimeout as sleep } from 'node:timers/promises';

import type { Session } from './store.ts';

const LOOK_MS = 200;

export type OperationOptions = {
  /** Told now and then how many bytes the engine has read of how many, as far as it knows. */
  readonly onLook?: (bytesDone: number, bytesTotal: number) => void;
  readonly signal?: AbortSignal;
};

/**
 * Has the engine back up or restore, beside the session, which only looks how far it is: so it can be cancelled. Throws
 * the engine's reason when it fails.
 */
export async function runOperation(
  session: Session,
  statement: string,
  { onLook, signal }: OperationOptions,
): Promise<void> {
  const [begun] = await session.query(`${statement} ASYNC`);
  const id = String(begun?.['id']);
  let isKilled = false;
  for (;;) {
    const [row] = await session.query(
      `SELECT toString(status) AS status, error, query_id, bytes_read AS done, total_size AS total
       FROM system.backups WHERE id = '${id}'`,
    );
    if (row === undefined) throw new Error('The engine has forgotten how far it is; try again');
    const status = String(row['status']);
    if (status === 'BACKUP_CREATED' || status === 'RESTORED') return;
    if (status !== 'CREATING_BACKUP' && status !== 'RESTORING') {
      signal?.throwIfAborted();
      throw new Error(String(row['error']));
    }
    onLook?.(Number(row['done']), Number(row['total']));
    if (signal?.aborted === true && !isKilled) {
      isKilled = true;
      await session.command(`KILL QUERY WHERE query_id = '${String(row['query_id'])}' ASYNC`);
    }
    await sleep(LOOK_MS);
  }
}
