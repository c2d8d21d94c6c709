import { expect, test } from 'vitest';

import { makeLog } from '@muster/proto/log';

import { HOST_METRICS_MAX, makeMetrics, METRICS_MAX, STALE_MS } from './metrics.ts';
import { makeTestState } from './test-state.ts';

function makeKnown() {
  const lines: string[] = [];
  const clock = { nowMs: 0 };
  const { metrics: table } = makeTestState();
  const log = makeLog(
    (line) => void lines.push(line),
    () => 0,
  );
  const open = () => makeMetrics({ table, log, now: () => clock.nowMs });
  return { ...open(), open, clock, table, lines };
}

test('what a host says of a metric counts, beside the catalogue; of others nobody knows more than that it is a gauge', async () => {
  const { learn, find, open } = makeKnown();
  await learn('web-1', [
    ['requests', 'counter', '{request}'],
    ['system.uptime', 'counter', 'x'],
  ]);
  expect(find('requests')).toMatchObject({ kind: 'counter', unit: '{request}' });
  expect(find('system.uptime')).toMatchObject({ kind: 'gauge', unit: 's' });
  expect(find('other')).toEqual({ kind: 'gauge', unit: '' });
  expect(open().find('requests')).toMatchObject({ kind: 'counter' });
});

test('of hosts that disagree the first counts, until nobody has said the same for an hour', async () => {
  const { learn, find, clock, lines } = makeKnown();
  await learn('web-1', [['jobs', 'gauge', '']]);
  await learn('web-2', [['jobs', 'counter', '']]);
  await learn('web-2', [['jobs', 'counter', '']]);
  expect(find('jobs')).toMatchObject({ kind: 'gauge' });
  expect(lines.filter((line) => line.includes('metrics.disputed'))).toHaveLength(1);
  expect(lines[0]).toContain('"host":"web-2"');
  clock.nowMs = STALE_MS - 1;
  await learn('web-1', [['jobs', 'gauge', '']]);
  clock.nowMs = STALE_MS + 1;
  await learn('web-2', [['jobs', 'counter', '']]);
  expect(find('jobs')).toMatchObject({ kind: 'gauge' });
  clock.nowMs = 2 * STALE_MS;
  await learn('web-2', [['jobs', 'counter', '']]);
  expect(find('jobs')).toMatchObject({ kind: 'counter' });
  expect(lines.some((line) => line.includes('metrics.changed'))).toBe(true);
});

/** So many counters, of these names. */
function makeCounters(count: number, name: string) {
  return Array.from({ length: count }, (_, i) => [`${name}_${i}`, 'counter', ''] as const);
}

test('a fleet has so many metrics and no more, also within a batch, which is told once', async () => {
  const { learn, find, table, lines } = makeKnown();
  const hosts = METRICS_MAX / HOST_METRICS_MAX;
  for (let host = 0; host < hosts; host += 1) {
    await learn(`web-${host}`, makeCounters(HOST_METRICS_MAX - 1, `m${host}`));
  }
  await learn('late', makeCounters(100, 'late'));
  await learn('later', makeCounters(100, 'later'));
  expect([...table.all()]).toHaveLength(METRICS_MAX);
  expect([`late_${hosts - 1}`, `late_${hosts}`].map(find)).toEqual([
    expect.objectContaining({ kind: 'counter' }),
    { kind: 'gauge', unit: '' },
  ]);
  expect(lines.filter((line) => line.includes('metrics.full'))).toHaveLength(1);
});

test('one host has its share and no more, which is told once of each; those of before a start count when it repeats them', async () => {
  const { learn, table, lines, open } = makeKnown();
  await learn('web-1', makeCounters(HOST_METRICS_MAX + 100, 'a'));
  await learn('web-1', makeCounters(100, 'b'));
  expect([...table.all()]).toHaveLength(HOST_METRICS_MAX);
  await learn('web-2', makeCounters(HOST_METRICS_MAX + 1, 'c'));
  // Whoever repeats what others brought has its share still.
  await learn('web-3', makeCounters(HOST_METRICS_MAX, 'a'));
  await learn('web-3', makeCounters(1, 'd'));
  expect([...table.all()]).toHaveLength(2 * HOST_METRICS_MAX + 1);
  expect(lines.filter((line) => line.includes('metrics.host-full'))).toHaveLength(2);

  const { learn: learnAgain } = open();
  await learnAgain('web-1', makeCounters(HOST_METRICS_MAX, 'a'));
  await learnAgain('web-1', makeCounters(1, 'e'));
  expect([...table.all()]).toHaveLength(2 * HOST_METRICS_MAX + 1);
});

test('a host that has its share gets room by what it has not said for an hour, and keeps what it says', async () => {
  const { learn, find, table, clock } = makeKnown();
  await learn('web-1', makeCounters(HOST_METRICS_MAX, 'a'));
  await learn('web-2', makeCounters(1, 'other'));
  clock.nowMs = STALE_MS - 1;
  await learn('web-1', makeCounters(1, 'b'));
  expect(find('b_0').kind).toBe('gauge');
  clock.nowMs = STALE_MS + 60_000;
  await learn('web-1', [...makeCounters(10, 'b'), ...makeCounters(5, 'a')]);
  expect(['a_0', 'a_4', 'a_5', 'b_9', 'other_0'].map((metric) => find(metric).kind)).toEqual([
    'counter',
    'counter',
    'gauge',
    'counter',
    'counter',
  ]);
  expect([...table.all()]).toHaveLength(16);
});

test('in a full fleet those give way that no host has said for an hour, whoever brought them', async () => {
  const { learn, find, table, clock } = makeKnown();
  const hosts = METRICS_MAX / HOST_METRICS_MAX;
  for (let host = 0; host < hosts; host += 1) await learn(`web-${host}`, makeCounters(HOST_METRICS_MAX, `m${host}`));
  clock.nowMs = STALE_MS;
  await learn('web-7', makeCounters(3, 'm1')); // repeated, by another
  await learn('late', [['m2_0', 'gauge', 's'], ...makeCounters(1, 'late')]);
  expect(Array.from(table.all(), ({ metric }) => metric).toSorted()).toEqual([
    'late_0',
    'm1_0',
    'm1_1',
    'm1_2',
    'm2_0',
  ]);
  expect([find('late_0').kind, find('m2_0')]).toEqual([
    'counter',
    expect.objectContaining({ kind: 'gauge', unit: 's' }),
  ]);
  // Those that are gone count for nobody.
  await learn('web-2', makeCounters(HOST_METRICS_MAX, 'again'));
  expect([...table.all()]).toHaveLength(5 + HOST_METRICS_MAX);
});

test('what the store does not take is not known, and is said again', async () => {
  const { table } = makeKnown();
  let isFull = true;
  const putAll: typeof table.putAll = async (rows) => {
    if (isFull) throw new Error('the disk is full');
    await table.putAll(rows);
  };
  const log = makeLog(() => undefined, Date.now);
  const metrics = makeMetrics({ table: { ...table, putAll }, log, now: () => 0 });
  await expect(metrics.learn('web-1', [['a', 'counter', '']])).rejects.toThrow('full');
  expect(metrics.find('a')).toEqual({ kind: 'gauge', unit: '' });
  isFull = false;
  await metrics.learn('web-1', [['a', 'counter', '']]);
  expect(metrics.find('a')).toMatchObject({ kind: 'counter' });
});
