import { makeArrivalBlock } from '../../collector/ingest/columns.ts';
import { openCompaction } from '../../collector/store/compaction.ts';
import { insertArrivals } from '../../collector/store/insert.ts';
import { openVersions } from '../../collector/store/rollup.ts';
import type { Engine } from '../../collector/store/store.ts';
import { seededRandom } from '../random.ts';
import { makeRealisticValue } from '../realistic-value.ts';

export type Fleet = {
  readonly hosts: number;
  /** Of each host; the first ten have 20. */
  readonly metrics: number;
  /** Start of the day that is filled, Unix milliseconds. */
  readonly dayMs: number;
  readonly onProgress: (samples: number) => void;
};

/** Between two ticks. */
const EVERY_MS = 10_000;
const TICKS = 86_400_000 / EVERY_MS;
/** What the first ten hosts have, so that one host can be asked for so many. */
export const METRICS_OF_FIRST = 20;
const COMPACTED_AT_ONCE = 2_000_000;

export function nameMetric(number: number): string {
  return `figure.metric.${String(number).padStart(2, '0')}`;
}

/** Fills a day with samples like those of a fleet, on the way that those of agents take; the rollup of its windows comes along. */
export async function fillDay(engine: Engine, { hosts, metrics, dayMs, onProgress }: Fleet): Promise<void> {
  const compaction = await openCompaction(engine, await openVersions(engine, Date.now));
  const ticksMs = Array.from({ length: TICKS }, (_, tick) => dayMs + tick * EVERY_MS);
  let waiting = 0;
  let samples = 0;
  for (let number = 0; number < hosts; number += 1) {
    const random = seededRandom(1, number);
    const series = Array.from(
      { length: number < 10 ? METRICS_OF_FIRST : metrics },
      (_, metric) => [nameMetric(metric), ''] as const,
    );
    const values = new Float64Array(series.length * TICKS);
    for (let row = 0; row < series.length; row += 1) {
      const makeValue = makeRealisticValue(row, random);
      for (let tick = 0; tick < TICKS; tick += 1) values[row * TICKS + tick] = makeValue();
    }
    const batch = { epoch: 1, seq: number, sentMs: dayMs, everyMs: EVERY_MS, ticksMs, series, values };
    const block = makeArrivalBlock([{ host: `host-${number}`, batch, quarantined: 0, receivedMs: dayMs }]);
    const { generation, release } = compaction.hold(block.samples);
    await insertArrivals(engine, block, generation);
    release();
    waiting += block.samples;
    samples += block.samples;
    if (waiting < COMPACTED_AT_ONCE && number < hosts - 1) continue;
    await compaction.run();
    waiting = 0;
    onProgress(samples);
  }
}

/** Fills a table of means with what so many days leave in it, the last of them the one that is filled with samples. */
export async function fillRollup(engine: Engine, fleet: Fleet, tier: '1h' | '1d', days: number): Promise<void> {
  const { hosts, metrics, dayMs } = fleet;
  const periodS = tier === '1h' ? 3_600 : 86_400;
  const periods = (days * 86_400) / periodS;
  for (let m = 0; m < METRICS_OF_FIRST; m += 1)
    await engine.command(
      `INSERT INTO rollup_${tier} (metric, host, labels, ts, samples, min, max, avg, median, stddev, last, lastTs, version)
       SELECT metric, host, '', toDateTime(${dayMs / 1000 + 86_400 * (1 - days)} + ${periodS} * k) AS ts, ${periodS / 10} AS samples,
         round(mean - 1, 2), round(mean + 1, 2), mean, round(mean, 2), 0.5, round(mean, 2), ts + ${periodS} - 10, 1
       FROM (SELECT '${nameMetric(m)}' AS metric, concat('host-', toString(h)) AS host, k, 50 + 10 * sin(k / 24 + h) + randCanonical(k * 1000 + h) AS mean
         FROM (SELECT intDiv(number, ${periods}) AS h, number % ${periods} AS k
           FROM numbers(${periods * (m < metrics ? hosts : Math.min(10, hosts))})))`,
    );
}
