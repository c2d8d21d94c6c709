import type { SampleBlock } from '../domain/samples.ts';
import { DATABASE, type Engine } from './store.ts';

export const ROLLUP_MS = 300_000;
/** A window is rolled up this long after its end, when what was on its way has mostly arrived. */
const GRACE_MS = 15_000;
/** How much of the past is rolled up in one statement, which bounds its memory. */
const WINDOWS_AT_ONCE = 12;

/**
 * Keeps the five-minute rollup up to date: every window in which samples arrived is computed anew from the samples,
 * late ones included. Which windows wait is stored before their samples are, and computing one again replaces it, so
 * that a kill at any moment costs nothing.
 */
export type Rollup = {
  /** Call before a block is stored: its windows wait from now on, and are not rolled up until `release` is called. */
  hold(block: SampleBlock): Promise<{ release: () => void }>;
  /**
   * Rolls up what is due, or as much of it as until `closing`: after an outage there may be a day of it, and it waits in
   * the store as well. Call about once a minute; never twice at once.
   */
  readonly run: (closing?: AbortSignal) => Promise<void>;
  /** Unix ms up to which there are rows; later windows must be read from the samples. */
  rolledUntilMs(): number;
};

export async function openRollup(engine: Engine, now: () => number): Promise<Rollup> {
  const waiting = new Set(await readWaiting(engine));
  const held = new Map<number, number>();
  let rolledUntilMs = await readNewest(engine);
  let version = await readVersion(engine);
  const nextVersion = (): number => (version = Math.max(version + 1, now()));

  async function rollUpRange(fromMs: number, toMs: number): Promise<void> {
    const windows = Array.from({ length: (toMs - fromMs) / ROLLUP_MS }, (_, i) => fromMs + i * ROLLUP_MS);
    // Older than any version that samples which arrive meanwhile give to the same window: they make it wait again.
    const doneVersion = nextVersion();
    for (const window of windows) waiting.delete(window);
    try {
      await rollUp(engine, { fromMs, toMs, computedMs: doneVersion });
      await writeWindows(engine, windows, doneVersion, 1);
    } catch (cause) {
      for (const window of windows) waiting.add(window);
      throw new Error('Cannot roll up samples', { cause });
    }
    rolledUntilMs = Math.max(rolledUntilMs, toMs);
  }

  return {
    async hold(block) {
      const windows = findWindows(block);
      for (const window of windows) held.set(window, (held.get(window) ?? 0) + 1);
      const release = (): void => {
        for (const window of windows) {
          const count = (held.get(window) ?? 1) - 1;
          if (count === 0) held.delete(window);
          else held.set(window, count);
        }
      };
      const fresh = windows.filter((window) => !waiting.has(window));
      try {
        await writeWindows(engine, fresh, nextVersion(), 0);
      } catch (cause) {
        release();
        throw cause;
      }
      for (const window of fresh) waiting.add(window);
      return { release };
    },
    async run(closing) {
      while (closing?.aborted !== true) {
        // Looked for anew each time: while one range was rolled up, windows of another may have come to be held.
        const isDue = (window: number): boolean => window + ROLLUP_MS + GRACE_MS <= now() && !held.has(window);
        const [range] = joinWindows([...waiting].filter(isDue).toSorted((a, b) => a - b));
        if (range === undefined) return;
        await rollUpRange(...range);
      }
    },
    rolledUntilMs: () => rolledUntilMs,
  };
}

async function readWaiting(engine: Engine): Promise<readonly number[]> {
  const rows = await engine.query(
    `SELECT toUnixTimestamp64Milli(start) AS start FROM ${DATABASE}.rollup_windows FINAL WHERE done = 0`,
  );
  return rows.map((row) => Number(row['start']));
}

async function readVersion(engine: Engine): Promise<number> {
  const [row] = await engine.query(`SELECT max(version) AS version FROM ${DATABASE}.rollup_windows`);
  return Number(row?.['version'] ?? 0);
}

async function readNewest(engine: Engine): Promise<number> {
  const [row] = await engine.query(
    `SELECT count() AS rows, toUnixTimestamp64Milli(max(ts)) AS newest FROM ${DATABASE}.rollup_5m`,
  );
  return Number(row?.['rows']) === 0 ? 0 : Number(row?.['newest']) + ROLLUP_MS;
}

async function writeWindows(engine: Engine, windows: readonly number[], version: number, done: 0 | 1): Promise<void> {
  if (windows.length === 0) return;
  await engine.insert('rollup_windows', windows.length, [
    { name: 'start', type: "DateTime64(3, 'UTC')", values: windows },
    { name: 'done', type: 'UInt32', values: windows.map(() => done) },
    { name: 'version', type: 'UInt64', values: windows.map(() => version) },
  ]);
}

/** The windows that a block's ticks lie in. Ticks stand in runs, so that most need one comparison. */
function findWindows({ tsMs }: SampleBlock): readonly number[] {
  const windows = new Set<number>();
  let window = NaN;
  for (const tickMs of tsMs) {
    if (tickMs >= window && tickMs < window + ROLLUP_MS) continue;
    window = Math.floor(tickMs / ROLLUP_MS) * ROLLUP_MS;
    windows.add(window);
  }
  return [...windows];
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

type RollUp = { readonly fromMs: number; readonly toMs: number; readonly computedMs: number };

/** `computedMs` says which of two rows counts: it rises even where the clock is set back. */
async function rollUp(engine: Engine, parameters: RollUp): Promise<void> {
  await engine.command(
    `INSERT INTO ${DATABASE}.rollup_5m (metric, host, labels, ts, samples, min, max, avg, median, stddev, last, lastTs,
       computed)
     SELECT metric, host, labels, toStartOfInterval(ts, INTERVAL 5 MINUTE) AS start,
       count(), min(value), max(value), avg(value), median(value), stddevPop(value), argMax(value, samples.ts),
       max(samples.ts), fromUnixTimestamp64Milli({computedMs:Int64})
     FROM ${DATABASE}.samples FINAL
     WHERE ts >= fromUnixTimestamp64Milli({fromMs:Int64}) AND ts < fromUnixTimestamp64Milli({toMs:Int64})
     GROUP BY metric, host, labels, start`,
    parameters,
  );
}
