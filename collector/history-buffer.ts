import type { Log } from '@muster/proto/log';

import { openBuffer, type Buffer } from './ingest/buffer.ts';
import { makeEventRows, makeHistoryBlock, type Arrival } from './ingest/columns.ts';
import { countBytes } from './sample-buffer.ts';
import { writeHistory } from './store/history.ts';
import { insertEvents } from './store/insert.ts';
import type { Engine } from './store/store.ts';

/** The larger a commit, the fewer parts there are to be merged. */
const COMMIT_ROWS = 6_000_000;
const COMMIT_BYTES = 64 * 1024 * 1024;
const COMMIT_MS = 250;
const BUFFER_BYTES_MAX = 128 * 1024 * 1024;
/** A commit of that size takes some seconds. */
const WAIT_MS_MAX = 60_000;

type HistoryShard = { readonly engine: Engine; readonly noteFault: (error: unknown) => void };

export type HistoryBufferOptions = { readonly shardOf: (host: string) => HistoryShard; readonly log: Log };

/** The buffer that commits what was before the samples to the rollups, and its events. */
export function openHistoryBuffer({ shardOf, log }: HistoryBufferOptions): Buffer<Arrival> {
  let failed: HistoryShard | null = null;
  return openBuffer<Arrival>({
    async insert(items) {
      for (const [shard, own] of Map.groupBy(items, ({ host }) => shardOf(host))) {
        try {
          await insertEvents(shard.engine, makeEventRows(own));
          const told = own.filter(({ batch }) => batch.values.length > 0);
          if (told.length > 0) await writeHistory(shard.engine, makeHistoryBlock(told));
        } catch (fault) {
          failed = shard;
          throw fault;
        }
      }
    },
    sizeOf: ({ batch }) => ({ rows: batch.values.length, bytes: countBytes(batch) }),
    commitRows: COMMIT_ROWS,
    commitBytes: COMMIT_BYTES,
    commitMs: COMMIT_MS,
    bytesMax: BUFFER_BYTES_MAX,
    waitMsMax: WAIT_MS_MAX,
    onError: (error) => failed?.noteFault(error),
    onRejected: ({ host }, error) => log.error('history.rejected', { host, error }),
  });
}
