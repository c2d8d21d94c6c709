import type { Batch } from '@muster/proto/batch';
import type { Log } from '@muster/proto/log';
import { err } from '@muster/proto/result';

import { openBuffer, type Buffer } from './ingest/buffer.ts';
import { makeArrivalBlock, makeEventRows, type Arrival } from './ingest/columns.ts';
import type { IsNew } from './ingest/novelty.ts';
import type { Commits } from './open-store.ts';
import type { Compaction } from './store/compaction.ts';
import { insertArrivals, insertEvents, insertQuarantine } from './store/insert.ts';
import type { Engine } from './store/store.ts';

/** What a commit may take of the memory. */
const COMMIT_BYTES = 8 * 1024 * 1024;
/** What may wait for the store: 8 M samples, some seconds of full load. */
const BUFFER_BYTES_MAX = 64 * 1024 * 1024;
/** An agent waits 10 s for its answer; what it will send again anyway need not be stored behind its back. */
const WAIT_MS_MAX = 5_000;

type CommitShard = {
  readonly engine: Engine;
  readonly compaction: Compaction;
  /** Notes a fault that is known to be the store's. */
  readonly noteFault: (error: unknown) => void;
};

export type SampleBufferOptions = {
  /** Where all of a host lies. */
  readonly shardOf: (host: string) => CommitShard;
  readonly commits: Commits;
  readonly isNew: IsNew;
  readonly log: Log;
};

/** The buffer that commits to the store: samples, events, what is quarantined, and that the batches arrived. */
export function openSampleBuffer({ shardOf, commits, isNew, log }: SampleBufferOptions): Buffer<Arrival> {
  let failed: CommitShard | null = null;
  const buffer = openBuffer<Arrival>({
    async insert(items) {
      const faults: unknown[] = [];
      const done = [...Map.groupBy(items, ({ host }) => shardOf(host))].map(([shard, own]) =>
        commit(shard, own, isNew).catch((fault: unknown) => {
          failed = shard;
          faults.push(fault);
        }),
      );
      await Promise.all(done);
      if (faults.length > 0) throw faults[0];
    },
    sizeOf: ({ batch, rows }) => ({ rows: batch.values.length, bytes: countBytes(batch) + rows.length * ROW_BYTES }),
    commitRows: commits.rows,
    commitBytes: COMMIT_BYTES,
    commitMs: commits.ms,
    bytesMax: BUFFER_BYTES_MAX,
    waitMsMax: WAIT_MS_MAX,
    onError: (error) => failed?.noteFault(error),
    onRejected: ({ host, batch: { epoch, seq } }, error) =>
      log.error('ingest.batch-rejected', { host, epoch, seq, error }),
  });
  return {
    ...buffer,
    add: (item) => (shardOf(item.host).compaction.isBehind() ? Promise.resolve(err('full')) : buffer.add(item)),
  };
}

async function commit({ engine, compaction }: CommitShard, items: readonly Arrival[], isNew: IsNew): Promise<void> {
  const block = makeArrivalBlock(items, isNew);
  const { generation, release } = compaction.hold(block.samples);
  try {
    await insertEvents(engine, makeEventRows(items));
    await insertQuarantine(
      engine,
      items.flatMap(({ rows }) => rows),
    );
    // Last: a batch that is counted has arrived whole. After a kill in between it comes again.
    await insertArrivals(engine, block, generation);
  } finally {
    release();
  }
}

/** A row of the quarantine, an event, and a batch with nothing in it: each some small objects. */
const ROW_BYTES = 200;

/** Roughly what a decoded batch holds in memory: 8 bytes a number, 2 a character, 100 for each series' objects. */
export function countBytes({ values, series, ticksMs, events = [] }: Batch): number {
  const texts = series.reduce((sum, [metric, labels]) => sum + 100 + 2 * (metric.length + labels.length), 0);
  return values.byteLength + texts + ticksMs.length * 8 + (events.length + 1) * ROW_BYTES;
}
