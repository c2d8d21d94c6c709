import { randomInt } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';

import { openCompaction } from '@muster/collector/store/compaction';
import { openVersions } from '@muster/collector/store/rollup';
import type { Engine } from '@muster/collector/store/store';
import { encodeBatch, type Batch } from '@muster/proto/batch';
import { BATCH_CONTENT_TYPE, INGEST_PATH } from '@muster/proto/push';

const SERIES = ['', 'user', 'system', 'idle'].map(
  (mode) => ['system.cpu.utilization', mode === '' ? '' : `cpu.mode=${mode}`] as const,
);
const EVERY_MS = 1000;

/** A host without an agent: pushes batches, and keeps book of what was acknowledged. */
export type BookkeepingHost = {
  readonly host: string;
  /** Sends ticks; the status of the answer, null when there was none. What was not acknowledged is sent first again. */
  readonly push: (firstMs: number, ticks: number) => Promise<number | null>;
  /** Ticks that are in the store for certain. */
  readonly acknowledged: Set<number>;
  /** Ticks that were sent: one that was not acknowledged may be in the store all the same. */
  readonly sent: Set<number>;
};

/** `origin`: of its collector, which may be another one each time. */
export function makeBookkeepingHost(origin: string | (() => string), host: string, token: string): BookkeepingHost {
  const epoch = randomInt(2 ** 40);
  const acknowledged = new Set<number>();
  const sent = new Set<number>();
  let seq = 0;
  let waiting: Batch | null = null;
  return {
    host,
    acknowledged,
    sent,
    async push(firstMs, ticks) {
      const batch =
        waiting ??
        makeBatch(
          host,
          epoch,
          (seq += 1),
          Array.from({ length: ticks }, (_, i) => firstMs + i * EVERY_MS),
        );
      waiting = batch;
      for (const tickMs of batch.ticksMs) sent.add(tickMs);
      const status = await post(typeof origin === 'string' ? origin : origin(), token, {
        ...batch,
        sentMs: Date.now(),
      });
      if (status !== 200) return status;
      for (const tickMs of batch.ticksMs) acknowledged.add(tickMs);
      waiting = null;
      return status;
    },
  };
}

function makeBatch(host: string, epoch: number, seq: number, ticksMs: readonly number[]): Batch {
  const values = Float64Array.from(SERIES.flatMap((_, row) => ticksMs.map((tickMs) => valueAt(host, row, tickMs))));
  return { epoch, seq, since: seq, sentMs: 0, everyMs: EVERY_MS, ticksMs, series: SERIES, values };
}

/** A ratio that says which sample it belongs to, as far as a ratio can. */
function valueAt(host: string, row: number, tickMs: number): number {
  return ((tickMs / EVERY_MS) % 1e6) / 1e6 / (1 + row + (host.charCodeAt(host.length - 1) % 10));
}

async function post(origin: string, token: string, batch: Batch): Promise<number | null> {
  try {
    const response = await fetch(`${origin}${INGEST_PATH}`, {
      method: 'POST',
      body: new Uint8Array(zstdCompressSync(encodeBatch(batch))),
      headers: {
        Authorization: `Bearer ${token}`,
        'Content-Type': BATCH_CONTENT_TYPE,
        'Content-Encoding': 'zstd',
      },
      signal: AbortSignal.timeout(10_000),
    });
    await response.body?.cancel();
    return response.status;
  } catch {
    return null;
  }
}

export type Audit = {
  readonly acknowledged: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly altered: number;
};

/** Compares the samples of a store, compacted, with the books, from an instant on. The figures count samples. */
export async function auditBooks(engine: Engine, hosts: readonly BookkeepingHost[], fromMs: number): Promise<Audit> {
  await openCompaction(engine, await openVersions(engine, Date.now));
  let [acknowledged, lost, duplicated, altered] = [0, 0, 0, 0];
  for (const { host, ...book } of hosts) {
    const rows = await engine.query(
      `SELECT metric, labels, toUnixTimestamp64Milli(ts) AS tickMs, value FROM samples
       WHERE host = {host:String} AND ts >= fromUnixTimestamp64Milli({fromMs:Int64})`,
      { host, fromMs },
    );
    const seen = new Set<string>();
    for (const row of rows) {
      const tickMs = Number(row['tickMs']);
      const index = SERIES.findIndex(([metric, labels]) => row['metric'] === metric && row['labels'] === labels);
      const key = `${index} ${tickMs}`;
      if (seen.has(key)) duplicated += 1;
      seen.add(key);
      if (!book.sent.has(tickMs) || Number(row['value']) !== valueAt(host, index, tickMs)) altered += 1;
    }
    for (const tickMs of book.acknowledged) {
      if (tickMs < fromMs) continue;
      acknowledged += SERIES.length;
      lost += SERIES.filter((_, index) => !seen.has(`${index} ${tickMs}`)).length;
    }
  }
  return { acknowledged, lost, duplicated, altered };
}
