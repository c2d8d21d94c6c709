import type { DropReply } from '@muster/proto/api';

import { StoreError } from '../domain/store-error.ts';
import type { Ballast } from './ballast.ts';
import type { Mender } from './mend.ts';
import { DATABASE } from './store.ts';

/** What is dropped by days: the samples as they came, and which batches brought them. Means and events stay. */
const TABLES = ['samples', 'batches'] as const;

export type DropOptions = { readonly mender: Mender; readonly ballast: Ballast };

/**
 * Drops the samples of all whole days (UTC) before an instant. On a disk that is full the ballast makes the room that
 * dropping needs. A window of the rollup whose samples are gone stays as it was computed.
 */
export async function dropBefore({ mender, ballast }: DropOptions, beforeMs: number): Promise<DropReply> {
  const day = new Date(beforeMs).toISOString().slice(0, 10).replaceAll('-', '');
  const days = new Set<string>();
  let rows = 0;
  for (const table of TABLES) {
    const drop = (): Promise<void> =>
      mender.drop(table, async (engine) => {
        const partitions = await engine.query(
          `SELECT partition_id AS id, sum(rows) AS rows FROM system.parts WHERE database = '${DATABASE}'
           AND table = {table:String} AND active AND partition_id < {day:String} GROUP BY id ORDER BY id`,
          { table, day },
        );
        for (const partition of partitions) {
          const id = String(partition['id']);
          await engine.command(`ALTER TABLE ${DATABASE}.${table} DROP PARTITION ID {id:String}`, { id });
          if (table !== 'samples') continue;
          days.add(id.replace(/^(\d{4})(\d\d)(\d\d)$/, '$1-$2-$3'));
          rows += Number(partition['rows']);
        }
      });
    try {
      await drop();
    } catch (error) {
      const isFull = error instanceof StoreError && error.isFull;
      if (!isFull || !(await ballast.release())) throw error;
      await drop();
    }
  }
  return { days: [...days], rows };
}
