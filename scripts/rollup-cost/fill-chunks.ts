import type { Engine } from '../../collector/store/store.ts';

export type FleetHour = {
  readonly hosts: number;
  readonly metrics: number;
  /** Whole five minutes, Unix milliseconds. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly everyMs: number;
};

/**
 * Fills `chunks_next` with what a fleet leaves in some time: values of two decimals around a slow wave, of which only the
 * number matters to a rollup. The same again with the same.
 */
export async function fillChunks(engine: Engine, options: FleetHour): Promise<void> {
  const { hosts, metrics, fromMs, toMs, everyMs } = options;
  for (let startS = fromMs / 1000; startS < toMs / 1000; startS += 300)
    await engine.command(
      `INSERT INTO chunks_next (metric, host, labels, start, offsetsMs, values)
       SELECT concat('bench.metric.', leftPad(toString(m), 3, '0')), concat('host-', leftPad(toString(h), 5, '0')), '',
         toDateTime(${startS}), arrayMap(i -> toUInt32(i * ${everyMs}), range(intDiv(300000, ${everyMs}))),
         arrayMap(i -> round(50 + 20 * sin(i / 97 + seed % 100) + (intHash32(seed + i) % 100) / 50, 2), range(intDiv(300000, ${everyMs})))
       FROM (SELECT intDiv(number, ${metrics}) AS h, number % ${metrics} AS m, intHash32(number + ${startS}) AS seed
         FROM numbers(${hosts * metrics}))`,
    );
}
