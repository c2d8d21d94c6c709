import type { ClickHouseClient } from '@clickhouse/client';

import { StoreError } from '../domain/store-error.ts';
import { ask, codeOf, listClaims, tell } from './claims.ts';
import { stopStatements } from './server-client.ts';

/** What goes on in a session of another is told to stop, and may need a while to notice. */
const END_MS_MAX = 60_000;

export const SESSION_UNKNOWN = '372';
export const SESSION_LOCKED = '373';

const PURPOSES = ['inserts', 'commands'] as const;
export type Purpose = (typeof PURPOSES)[number];

/** The session of the server in which a claim does what it does for a purpose. */
export function nameSession(prefix: string, id: string, purpose: Purpose): string {
  return `${prefix}${id}-${purpose}`;
}

/**
 * Makes sure that nothing of the claims before this one goes on, or comes later. Their tables go last: until then it is
 * done again. One after it is left alone: whoever was stopped in here may have been taken over meanwhile.
 */
export async function endFormer(
  client: ClickHouseClient,
  { number, prefix }: { readonly number: number; readonly prefix: string },
): Promise<void> {
  const isOurs = `startsWith(query_id, '${prefix}')`;
  await stopStatements(client, isOurs);
  for (const former of await listClaims(client)) {
    if (former.number >= number) continue;
    for (const purpose of PURPOSES) await endSession(client, nameSession(prefix, former.id, purpose), isOurs);
    await tell(client, `DROP TABLE IF EXISTS ${former.table} SYNC`);
  }
}

async function endSession(client: ClickHouseClient, session_id: string, isOurs: string): Promise<void> {
  const clickhouse_settings = { session_check: '1', close_session: '1' };
  for (const untilMs = performance.now() + END_MS_MAX; performance.now() < untilMs;) {
    try {
      await ask(client, 'SELECT 1', { session_id, clickhouse_settings });
    } catch (cause) {
      if (codeOf(cause) === SESSION_UNKNOWN) return;
      if (codeOf(cause) !== SESSION_LOCKED) throw cause;
      await stopStatements(client, isOurs);
    }
  }
  const message =
    'A statement of an earlier collector still runs on the ClickHouse server; stop that collector, or wait';
  throw new StoreError(message, false, null, true);
}
