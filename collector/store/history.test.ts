import { afterAll, beforeAll, expect, test } from 'vitest';

import { makeArrivalBlock, makeHistoryBlock } from '../ingest/columns.ts';
import { openTestStore, type TestStore } from '../test-store.ts';
import { openCompaction } from './compaction.ts';
import { KEEP_DEFAULT } from '../domain/keep.ts';
import { writeHistory } from './history.ts';
import { insertArrivals } from './insert.ts';
import { readSeries } from './queries.ts';
import { openVersions, rollUpDue } from './rollup.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const WINDOW_MS = 300_000;
const NOW_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS;
const FIRST_MS = NOW_MS - 3 * DAY_MS;

let store: TestStore;

beforeAll(async () => {
  store = await openTestStore();
});

afterAll(() => store.close());

/** Three days of a gauge with holes, a counter that is reset, and a series that there is now and then. */
function makeDay(day: number) {
  const ticksMs = Array.from({ length: DAY_MS / WINDOW_MS }, (_, i) => FIRST_MS + day * DAY_MS + i * WINDOW_MS + 1_500);
  const places = ticksMs.map((_, i) => day * ticksMs.length + i);
  return {
    epoch: 1,
    seq: day,
    sentMs: 0,
    everyMs: WINDOW_MS,
    ticksMs,
    series: [['m.gauge', 'a=1'] as const, ['m.count', ''] as const, ['m.gauge', 'a=2'] as const],
    values: Float64Array.from([
      ...places.map((i) => (i % 50 === 7 ? NaN : ((i * 104_729) % 2_003) / 10 - 80)),
      ...places.map((i) => (i % 400) * 1_000 + ((i * 7_919) % 1_000)),
      ...places.map((i) => (day === 1 && i % 36 < 12 ? i : NaN)),
    ]),
  };
}

const arrivalOf = (host: string, day: number) => ({ host, batch: makeDay(day), quarantined: 0, receivedMs: 0 });

test('what is told of the past is read as samples that came at the time are, at every range, also told twice', async () => {
  const { engine } = store;
  const versions = await openVersions(engine, Date.now);
  const compaction = await openCompaction(engine, versions);
  const { generation, release } = compaction.hold(3_000);
  await insertArrivals(engine, makeArrivalBlock([0, 1, 2].map((day) => arrivalOf('sampled', day))), generation).finally(
    release,
  );
  await compaction.run();
  await rollUpDue(engine, { versions, now: () => NOW_MS + DAY_MS });

  for (const days of [[0, 1], [2], [0, 1]])
    await writeHistory(engine, makeHistoryBlock(days.map((day) => arrivalOf('told', day))));

  for (const tier of ['1h', '1d']) {
    const [sampled, told] = await Promise.all(
      ['sampled', 'told'].map((host) =>
        engine.query(
          `SELECT metric, labels, toUnixTimestamp(ts) AS ts, samples, min, max, round(avg, 9) AS avg, median,
             round(stddev, 9) AS stddev, last, lastTs FROM rollup_${tier} FINAL WHERE host = '${host}' ORDER BY ALL`,
        ),
      ),
    );
    expect(sampled?.length, tier).toBeGreaterThan(2);
    expect(told, tier).toEqual(sampled);
  }
  const ask = (host: string, metric: string, [fromMs, toMs]: readonly [number, number]) =>
    readSeries(
      engine,
      { host, metric, kind: metric === 'm.count' ? 'counter' : 'gauge', fromMs, toMs },
      { keep: KEEP_DEFAULT, nowMs: NOW_MS },
    );
  for (const range of [
    [FIRST_MS + DAY_MS - 2 * HOUR_MS, FIRST_MS + DAY_MS + 3 * HOUR_MS],
    [FIRST_MS, FIRST_MS + DAY_MS + HOUR_MS],
    [FIRST_MS - 20 * DAY_MS, NOW_MS],
    [FIRST_MS - 300 * DAY_MS, NOW_MS],
  ] as const)
    for (const metric of ['m.gauge', 'm.count']) {
      const sampled = await ask('sampled', metric, range);
      expect(sampled.series.length, metric).toBeGreaterThan(0);
      const told = await ask('told', metric, range);
      expect([told.series, told.gaps], `${metric} ${range[1] - range[0]}`).toEqual([sampled.series, sampled.gaps]);
    }
});

test('hours of which there are samples are as those say, whatever was told of them, before or afterwards', async () => {
  const { engine } = store;
  const versions = await openVersions(engine, Date.now);
  const compaction = await openCompaction(engine, versions);
  const sample = { ...makeDay(1), ticksMs: [FIRST_MS + DAY_MS + 2_000], values: Float64Array.of(1, 2, 3) };
  const readFirst = () =>
    engine.query(
      `SELECT samples, last FROM rollup_1h FINAL WHERE host = 'both' AND metric = 'm.count' AND ts = toDateTime(${(FIRST_MS + DAY_MS) / 1000})`,
    );
  await writeHistory(engine, makeHistoryBlock([arrivalOf('both', 1)]));
  expect(await readFirst()).toEqual([expect.objectContaining({ samples: 12 })]);
  const { generation, release } = compaction.hold(3);
  await insertArrivals(
    engine,
    makeArrivalBlock([{ host: 'both', batch: sample, quarantined: 0, receivedMs: 0 }]),
    generation,
  ).finally(release);
  await compaction.run();
  await rollUpDue(engine, { versions, now: () => NOW_MS + DAY_MS });
  expect(await readFirst()).toEqual([{ samples: 1, last: 2 }]);
  await writeHistory(engine, makeHistoryBlock([arrivalOf('both', 1)]));
  expect(await readFirst()).toEqual([{ samples: 1, last: 2 }]);
});
