import type { DropReply } from '@muster/proto/api';

import { StoreError } from '../domain/store-error.ts';
import type { Ballast } from './ballast.ts';
import type { Compaction } from './compaction.ts';
import type { Mender } from './mend.ts';
import { listPartitions } from './store.ts';

/** What is dropped by days: the samples as they came, and which batches brought them. Means and events stay. */
const TABLES = ['chunks', 'archive', 'batches'] as const;

export type DropOptions = { readonly compaction: Compaction; readonly mender: Mender; readonly ballast: Ballast };

/**
 * Drops the samples of all whole days (UTC) before an instant. On a disk that is full the ballast makes the room that
 * dropping needs. A window of the rollup whose samples are gone stays as it was computed.
 */
export async function dropBefore({ compaction, mender, ballast }: DropOptions, beforeMs: number): Promise<DropReply> {
  await withRoom(ballast, compaction.run).catch(() => undefined); // then what has just arrived stays
  const day = new Date(beforeMs).toISOString().slice(0, 10).replaceAll('-', '');
  const days = new Set<string>();
  let rows = 0;
  for (const table of TABLES) {
    const drop = (): Promise<void> =>
      mender.drop(table, async (engine) => {
        for (const id of (await listPartitions(engine, table)).filter((one) => one < day)) {
          const [held] = table === 'batches' ? [] : await engine.query(countSamples(table, [id]));
          await engine.command(`ALTER TABLE ${table} DROP PARTITION ID '${id}'`);
          if (held === undefined) continue;
          days.add(id.replace(/^(\d{4})(\d\d)(\d\d).*$/, '$1-$2-$3'));
          rows += Number(held['samples']);
        }
      });
    await withRoom(ballast, drop);
  }
  return { days: [...days], rows };
}

/** Does what needs a little room; once more with that of the ballast, where the disk is full. */
export async function withRoom(ballast: Ballast, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    const isFull = error instanceof StoreError && error.isFull;
    if (!isFull || !(await ballast.release())) throw error;
    await act();
  }
}

/** Counts the samples in partitions of a table that holds them. */
export function countSamples(table: string, ids: readonly string[]): string {
  return `SELECT sum(length(offsetsMs)) AS samples FROM ${table} WHERE _partition_id IN (${ids.map((id) => `'${id}'`).join(', ')})`;
}
