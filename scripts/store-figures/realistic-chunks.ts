import type { Engine } from '../../collector/store/store.ts';

export type RealisticChunks = {
  /** `chunks` or `chunks_next`. */
  readonly table: string;
  readonly hosts: number;
  readonly metrics: number;
  /** Whole five minutes, Unix milliseconds. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly everyMs: number;
};

/**
 * Fills a table with chunks as a fleet leaves them: a third slow walks with two decimals, a quarter counters, an eighth
 * whole numbers, the rest constant or mostly zero. The same again with the same.
 */
export async function fillRealisticChunks(engine: Engine, options: RealisticChunks): Promise<void> {
  const { table, hosts, metrics, fromMs, toMs, everyMs } = options;
  for (let startS = fromMs / 1000; startS < toMs / 1000; startS += 300)
    await engine.command(
      `INSERT INTO ${table} (metric, host, labels, start, offsetsMs, values)
       SELECT concat('realistic.metric.', leftPad(toString(m), 3, '0')), concat('host-', leftPad(toString(h), 5, '0')), '',
         toDateTime(${startS}), arrayMap(i -> toUInt32(i * ${everyMs}), range(intDiv(300000, ${everyMs}))),
         arrayMap(i -> multiIf(
           m % 24 < 8, round(50 + 20 * sin((at + i) / 97 + seed % 100) + (intHash32(seed + at + i) % 100) / 50, 2),
           m % 24 < 14, toFloat64((at + i) * (1000 + seed % 900) + intHash32(seed + at + i) % 900),
           m % 24 < 17, toFloat64(40 + intHash32(seed + intDiv(at + i, 3)) % 12),
           m % 24 < 21, toFloat64(seed % 1000000),
           intHash32(seed + at + i) % 50 = 0 ? 1. : 0.), range(intDiv(300000, ${everyMs})))
       FROM (SELECT intDiv(number, ${metrics}) AS h, number % ${metrics} AS m, intHash32(number) AS seed,
           toInt64(intDiv(toInt64(${startS}) * 1000, ${everyMs})) AS at FROM numbers(${hosts * metrics}))`,
    );
}
