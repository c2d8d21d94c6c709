import type { SampleBlock } from '../domain/samples.ts';
import { DATABASE, type Engine } from './store.ts';

export const ROLLUP_MS = 300_000;
/** A window is rolled up this long after its end, when what was on its way has mostly arrived. */
const GRACE_MS = 15_000;
/** How much of the past is rolled up in one statement, which bounds its memory. */
const WINDOWS_AT_ONCE = 12;
/** How far before the end of the rollup a restart begins again: late samples of that time may not have been rolled up. */
const RESTART_MS = 2 * 3_600_000;

/**
 * Keeps the five-minute rollup up to date: every window in which samples arrived is computed anew from the samples,
 * late ones included. Computing a window again replaces it, so that a kill in the middle costs nothing.
 */
export type Rollup = {
  /** Notes which windows a block touched. Call when the block is stored. */
  touch(block: SampleBlock): void;
  /** Rolls up what is due. Call about once a minute; never twice at once. */
  readonly run: () => Promise<void>;
  /** Unix ms up to which there are rows; later windows must be read from the samples. */
  rolledUntilMs(): number;
};

export async function openRollup(engine: Engine, now: () => number): Promise<Rollup> {
  const bounds = await engine.query(
    `SELECT (SELECT toUnixTimestamp64Milli(max(ts)) FROM ${DATABASE}.rollup_5m) AS newest,
       (SELECT toUnixTimestamp64Milli(min(ts)) FROM ${DATABASE}.samples) AS oldest`,
  );
  const newestMs = Number(bounds[0]?.['newest'] ?? 0);
  const oldestMs = Number(bounds[0]?.['oldest'] ?? 0);
  const touched = new Set<number>();
  if (oldestMs > 0) {
    for (let window = startOf(Math.max(oldestMs, newestMs - RESTART_MS)); window <= now(); window += ROLLUP_MS)
      touched.add(window);
  }
  let rolledUntilMs = newestMs === 0 ? 0 : newestMs + ROLLUP_MS;
  return {
    touch(block) {
      // The ticks of a block are few and repeat: one look per change of window, not one per sample.
      let window = NaN;
      for (const tsMs of block.tsMs) {
        if (tsMs >= window && tsMs < window + ROLLUP_MS) continue;
        window = startOf(tsMs);
        touched.add(window);
      }
    },
    async run() {
      const due = [...touched].filter((window) => window + ROLLUP_MS + GRACE_MS <= now()).toSorted((a, b) => a - b);
      for (const [fromMs, toMs] of joinWindows(due)) {
        // Samples that arrive meanwhile touch their window again.
        for (let window = fromMs; window < toMs; window += ROLLUP_MS) touched.delete(window);
        try {
          await rollUp(engine, fromMs, toMs);
        } catch (cause) {
          for (let window = fromMs; window < toMs; window += ROLLUP_MS) touched.add(window);
          throw new Error('Cannot roll up samples', { cause });
        }
        rolledUntilMs = Math.max(rolledUntilMs, toMs);
      }
    },
    rolledUntilMs: () => rolledUntilMs,
  };
}

function startOf(tsMs: number): number {
  return Math.floor(tsMs / ROLLUP_MS) * ROLLUP_MS;
}

/** Windows in rising order, joined to ranges [from, to) where they follow one another, none longer than allowed. */
export function joinWindows(windows: readonly number[]): (readonly [fromMs: number, toMs: number])[] {
  const ranges: [number, number][] = [];
  for (const window of windows) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === window && window - range[0] < WINDOWS_AT_ONCE * ROLLUP_MS) {
      range[1] = window + ROLLUP_MS;
    } else ranges.push([window, window + ROLLUP_MS]);
  }
  return ranges;
}

async function rollUp(engine: Engine, fromMs: number, toMs: number): Promise<void> {
  await engine.command(
    `INSERT INTO ${DATABASE}.rollup_5m (metric, host, labels, ts, samples, min, max, avg, median, stddev, last)
     SELECT metric, host, labels, toStartOfInterval(ts, INTERVAL 5 MINUTE) AS start,
       count(), min(value), max(value), avg(value), median(value), stddevPop(value), argMax(value, ts)
     FROM ${DATABASE}.samples FINAL
     WHERE ts >= fromUnixTimestamp64Milli({fromMs:Int64}) AND ts < fromUnixTimestamp64Milli({toMs:Int64})
     GROUP BY metric, host, labels, start`,
    { fromMs, toMs },
  );
}
