import type { DropReply } from '@muster/proto/api';

import { StoreError } from '../domain/store-error.ts';
import type { Ballast } from './ballast.ts';
import { DATABASE, type Engine } from './store.ts';

/** What is dropped by days: the samples as they came, and which batches brought them. Means and events stay. */
const TABLES = ['samples', 'batches'] as const;

/**
 * Drops the samples of all whole days (UTC) before an instant. On a disk that is full the ballast makes the room that
 * dropping needs. A window of the rollup whose samples are gone stays as it was computed.
 */
export async function dropBefore(engine: Engine, ballast: Ballast, beforeMs: number): Promise<DropReply> {
  const partitions = await engine.query(
    `SELECT table, partition_id AS id, sum(rows) AS rows FROM system.parts
     WHERE database = '${DATABASE}' AND table IN ({tables:Array(String)}) AND active AND partition_id < {day:String}
     GROUP BY table, id ORDER BY id, table`,
    { tables: TABLES, day: new Date(beforeMs).toISOString().slice(0, 10).replaceAll('-', '') },
  );
  const days = new Set<string>();
  let rows = 0;
  for (const partition of partitions) {
    const id = String(partition['id']);
    await dropPartition(engine, ballast, String(partition['table']), id);
    if (partition['table'] !== 'samples') continue;
    days.add(id.replace(/^(\d{4})(\d\d)(\d\d)$/, '$1-$2-$3'));
    rows += Number(partition['rows']);
  }
  return { days: [...days], rows };
}

async function dropPartition(engine: Engine, ballast: Ballast, table: string, id: string): Promise<void> {
  const drop = (): Promise<void> =>
    engine.command(`ALTER TABLE ${DATABASE}.${table} DROP PARTITION ID {id:String}`, { id });
  try {
    await drop();
  } catch (error) {
    const isFull = error instanceof StoreError && error.isFull;
    if (!isFull || !(await ballast.release())) throw error;
    await drop();
  }
}
