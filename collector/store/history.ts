import type { ArrivalBlock } from '../domain/samples.ts';
import { insertHistory } from './insert.ts';
import { COLUMNS, HISTORY_VERSION, PERIODS } from './rollup.ts';
import type { Engine } from './store.ts';

/**
 * Stores a block of the past, and what hours and days of it come to; what is computed of samples takes the place of that,
 * whenever it comes. Told again, or after a kill at any moment, it changes nothing. One block at a time.
 */
export async function writeHistory(engine: Engine, block: ArrivalBlock): Promise<void> {
  await engine.command('TRUNCATE TABLE history_next'); // a kill may have left some
  await insertHistory(engine, block);
  for (const insert of INSERTS) await engine.command(`${insert} ${SETTINGS}`);
  await engine.command('TRUNCATE TABLE history_next');
}

/** In the order of the tables, so that they need not sort them: each series at its ticks, Unix ms. */
const SERIES = `SELECT metric, host, label, list, ticks FROM (
    SELECT metric, host, label, arrayFilter(value -> NOT isNaN(value), row) AS list,
      arrayFilter((tick, value) -> NOT isNaN(value),
        arrayMap(offset -> toInt64(1000) * toUnixTimestamp(start) + offset, offsetsMs), row) AS ticks
    FROM history_next ARRAY JOIN metrics AS metric, labels AS label, values AS row
  ) WHERE notEmpty(list) ORDER BY metric, host, label, ticks[1]`;

/** By lists, which takes a third of the time that groups do. */
function selectPeriods(periodMs: number): string {
  const isNext = `intDiv(tick, ${periodMs}) != intDiv(before, ${periodMs})`;
  const before = 'arrayPushFront(arrayPopBack(ticks), ticks[1])';
  return `SELECT metric, host, label, ${startOf('own[1]', periodMs)}, length(some), arrayMin(some), arrayMax(some),
      arrayAvg(some), arrayReduce('quantileExactInclusive(0.5)', some), arrayReduce('stddevPopStable', some), some[-1],
      fromUnixTimestamp64Milli(own[-1], 'UTC'), ${HISTORY_VERSION}
    FROM (
      SELECT metric, host, label, arraySplit((value, tick, before) -> ${isNext}, list, ticks, ${before}) AS lists,
        arraySplit((tick, before) -> ${isNext}, ticks, ${before}) AS times
      FROM (${SERIES})
    ) ARRAY JOIN lists AS some, times AS own`;
}

function startOf(tick: string, periodMs: number): string {
  return `toDateTime(intDiv(${tick}, ${periodMs}) * ${periodMs / 1000}, 'UTC')`;
}

const INSERTS = [
  `INSERT INTO history (metric, host, labels, ts, offsetsMs, values)
   SELECT metric, host, label, toDateTime(intDiv(ticks[1], 1000), 'UTC') AS ts,
     arrayMap(tick -> toUInt32(tick - 1000 * toUnixTimestamp(ts)), ticks), list FROM (${SERIES})`,
  ...PERIODS.map(({ tier, periodMs }) => `INSERT INTO rollup_${tier} (${COLUMNS}) ${selectPeriods(periodMs)}`),
];

/** Of a row there is one here: they need not be looked through for others. */
const SETTINGS =
  'SETTINGS max_threads = 1, max_insert_threads = 1, max_partitions_per_insert_block = 0, optimize_on_insert = 0';
