import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { makeArrivalBlock, type Arrival } from '../../collector/ingest/columns.ts';
import { openEmbedded } from '../../collector/store/embedded.ts';
import { insertArrivals, insertEvents } from '../../collector/store/insert.ts';
import { migrate } from '../../collector/store/migrations.ts';
import { makeSamples } from './samples.ts';
import { judge } from './verdict.ts';

const TICK_MS = 1_800_000_000_000;

/** What a collector stores of one tick, with `change` applied to its first value. */
function makeBatch(host: string, tickMs: number, change = (value: number) => value): Arrival {
  const samples = makeSamples(host, tickMs);
  return {
    host,
    batch: {
      epoch: 1,
      seq: 1,
      sentMs: tickMs,
      ticksMs: [tickMs],
      series: samples.map(({ metric, labels }) => [metric, labels] as const),
      values: Float64Array.from(samples, ({ value }, i) => (i === 0 ? change(value) : value)),
    },
    quarantined: 0,
    rows: [],
    receivedMs: tickMs,
  };
}

test('judge() finds what is lost, altered and not told, and sees one sample in two that are equal', async () => {
  const data = mkdtempSync(join(tmpdir(), 'muster-verdict-'));
  onTestFinished(() => rmSync(data, { recursive: true }));
  const engine = await openEmbedded(data);
  await migrate(engine);
  const [good, altered, lost, inGap, untold] = [0, 1, 2, 3, 4].map((second) => TICK_MS + 1_000 * second);
  const ticks = [good ?? 0, good ?? 0, altered ?? 0];
  for (const tick of ticks) {
    const batch = makeBatch('a', tick, (value) => (tick === altered ? value / 2 : value));
    await insertArrivals(engine, makeArrivalBlock([batch]), 1);
  }
  const body = JSON.stringify({ toMs: inGap, dropped: 0, reason: 'killed' });
  await insertEvents(engine, [{ host: 'a', tsMs: inGap ?? 0, kind: 'gap', body }]);
  await engine.close();
  const ledger = {
    sampled: new Set([good, altered, lost, inGap, untold].map(Number)),
    taken: new Set([good, altered, lost].map(Number)),
    stored: new Set([good, lost].map(Number)),
  };
  expect(await judge(data, new Map([['a', ledger]]))).toEqual({
    ticksSampled: 5,
    ticksTaken: 3,
    taken: 30,
    acknowledged: 20,
    stored: 20,
    rows: 30,
    lost: 10,
    lostAcknowledged: 10,
    duplicated: 0,
    altered: 1,
    ticksInGaps: 1,
    ticksUntold: 2,
    rollupRows: 10,
    rollupWrong: 1,
  });
});
