import { afterAll, beforeAll, expect, test } from 'vitest';

import { makeLog } from '@muster/proto/log';

import type { Arrival } from './ingest/columns.ts';
import { judgeBatch } from './ingest/legal.ts';
import { openSampleBuffer } from './sample-buffer.ts';
import { openCompaction } from './store/compaction.ts';
import { openVersions } from './store/rollup.ts';
import type { Engine } from './store/store.ts';
import { makeTestBatch } from './test-collector.ts';
import { openTestStore, type TestStore } from './test-store.ts';

let engine: Engine;
let close: TestStore['close'];

beforeAll(async () => {
  ({ engine, close } = await openTestStore());
});

afterAll(() => close());

const NOW_MS = Math.floor(Date.now() / 1000) * 1000;

/** A batch of two ticks, the later of them as far from now as the test says, as the ingest judges it. */
function makeArrival(host: string, offsetMs: number): Arrival {
  const batch = makeTestBatch(7, NOW_MS, [['system.cpu.utilization', '', 0.5]]);
  const ticksMs = [NOW_MS, NOW_MS + offsetMs];
  const wide = { ...batch, ticksMs, values: Float64Array.of(0.5, 0.75), everyMs: 1000 };
  return { host, ...judgeBatch(host, wide, { nowMs: NOW_MS, pastMsMax: 86_400_000 }, 10), receivedMs: NOW_MS };
}

test('one commit holds samples, what is set aside, and which batches brought them; again, it changes nothing', async () => {
  const compaction = await openCompaction(engine, await openVersions(engine, () => NOW_MS));
  const shard = { engine, compaction, noteFault: () => undefined };
  const buffer = openSampleBuffer({
    commits: { rows: 30_000, ms: 250 },
    isNew: () => false,
    shardOf: () => shard,
    log: makeLog(() => undefined, Date.now),
  });
  const farMs = 8_000_000_000_000_000 - NOW_MS;
  for (let i = 0; i < 2; i += 1) {
    const results = [buffer.add(makeArrival('web-1', 1000)), buffer.add(makeArrival('web-2', farMs))];
    expect(await Promise.all(results)).toEqual([{ ok: true }, { ok: true }]);
  }
  await buffer.close();
  await compaction.run();
  const read = (table: string, columns: string, final = 'FINAL') =>
    engine.query(`SELECT ${columns} FROM ${table} ${final} ORDER BY ALL`);
  expect(await read('samples', 'host, value', '')).toEqual([
    { host: 'web-1', value: 0.5 },
    { host: 'web-1', value: 0.75 },
    { host: 'web-2', value: 0.5 },
  ]);
  expect(await read('quarantine', 'host, metric, labels, tickMs, value, reason')).toEqual([
    {
      host: 'web-2',
      metric: 'system.cpu.utilization',
      labels: '',
      tickMs: NOW_MS + farMs,
      value: 0.75,
      reason: 'future',
    },
  ]);
  expect(await read('batches', 'host, since, seq, length(ticks) AS ticks, everyMs, samples, quarantined')).toEqual([
    { host: 'web-1', since: 7, seq: 7, ticks: 2, everyMs: 1000, samples: 2, quarantined: 0 },
    { host: 'web-2', since: 7, seq: 7, ticks: 1, everyMs: 1000, samples: 1, quarantined: 1 },
  ]);
});

test('a batch that the store does not take is logged and told apart, and the others are in', async () => {
  const compaction = await openCompaction(engine, await openVersions(engine, () => NOW_MS));
  const picky: Engine = {
    ...engine,
    insert(table, rows, columns) {
      const hosts = columns.find(({ name }) => name === 'host')?.values;
      if (table === 'arrivals' && JSON.stringify(hosts).includes('poison')) return Promise.reject(new Error('too odd'));
      return engine.insert(table, rows, columns);
    },
  };
  const faults: unknown[] = [];
  const lines: string[] = [];
  const shard = { engine: picky, compaction, noteFault: (error: unknown) => void faults.push(error) };
  const buffer = openSampleBuffer({
    commits: { rows: 30_000, ms: 250 },
    isNew: () => false,
    shardOf: () => shard,
    log: makeLog((line) => void lines.push(line), Date.now),
  });
  const hosts = ['db-1', 'db-2', 'poison', 'db-3'];
  const results = await Promise.all(hosts.map((host) => buffer.add(makeArrival(host, 1000))));
  await buffer.close();
  expect(results).toEqual([{ ok: true }, { ok: true }, { ok: false, error: 'rejected' }, { ok: true }]);
  expect(faults).toEqual([]);
  expect(lines.join('')).toContain('"event":"ingest.batch-rejected","host":"poison","epoch":1,"seq":7');
  const stored = await engine.query(
    "SELECT DISTINCT host FROM arrived_batches WHERE host LIKE 'db%' OR host = 'poison' ORDER BY host",
  );
  expect(stored).toEqual([{ host: 'db-1' }, { host: 'db-2' }, { host: 'db-3' }]);
});
