import { openCompaction } from '../../collector/store/compaction.ts';
import { openEmbedded } from '../../collector/store/embedded.ts';
import { openVersions } from '../../collector/store/rollup.ts';
import type { Ledger } from './fleet.ts';

/**
 * Samples that the agents took and those that the store has of them. `duplicated`: read twice; `repeated`: arrived
 * twice, and are read once; `unknown`: nobody took them.
 */
export type Balance = {
  readonly taken: number;
  readonly stored: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly repeated: number;
  readonly unknown: number;
};

/** Compares the store of a collector that has ended, which must be the only one that this process opens, with a ledger. */
export async function checkStore(data: string, ledger: Ledger, metrics: number): Promise<Balance> {
  const engine = await openEmbedded(data);
  try {
    const [all] = await engine.query(`SELECT count() AS rows FROM samples`);
    await openCompaction(engine, await openVersions(engine, Date.now));
    const rows = await engine.query(
      `SELECT host, groupArray(tickMs) AS ticks, groupArray(distinct_) AS distinct, groupArray(rows_) AS rows
       FROM (SELECT host, toUnixTimestamp64Milli(ts) AS tickMs, uniqExact(metric, labels) AS distinct_, count() AS rows_
         FROM samples GROUP BY host, tickMs) GROUP BY host`,
    );
    return weigh(rows, { ledger, metrics, arrived: Number(all?.['rows']) });
  } finally {
    await engine.close();
  }
}

type Scales = { readonly ledger: Ledger; readonly metrics: number; readonly arrived: number };

function weigh(rows: readonly Record<string, unknown>[], { ledger, metrics, arrived }: Scales): Balance {
  const taken = metrics * [...ledger.values()].reduce((sum, ticksMs) => sum + new Set(ticksMs).size, 0);
  const sum = { stored: 0, duplicated: 0, unknown: 0 };
  for (const row of rows) {
    const ticksMs = new Set(ledger.get(String(row['host'])));
    const [ticks, distinct, read] = [numbersOf(row['ticks']), numbersOf(row['distinct']), numbersOf(row['rows'])];
    for (const [i, tickMs] of ticks.entries()) {
      const samples = distinct[i] ?? 0;
      if (ticksMs.has(tickMs)) sum.stored += samples;
      else sum.unknown += samples;
      sum.duplicated += (read[i] ?? 0) - samples;
    }
  }
  // What was compacted by now is not seen here.
  const repeated = arrived - sum.stored - sum.unknown;
  return { taken, ...sum, lost: taken - sum.stored, repeated };
}

function numbersOf(value: unknown): readonly number[] {
  return Array.isArray(value) ? value.map(Number) : [];
}
