import { expect, test } from 'vitest';

import { makeLog } from '@muster/proto/log';

import { makeMetrics, METRICS_MAX, STALE_MS } from './metrics.ts';
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

test('there are so many metrics and no more, which is told once', async () => {
  const { learn, find, table, lines } = makeKnown();
  await learn(
    'web-1',
    Array.from({ length: METRICS_MAX }, (_, i) => [`m${i}`, 'counter', ''] as const),
  );
  await learn('web-1', [['more', 'counter', '']]);
  await learn('web-1', [['still_more', 'counter', '']]);
  expect([...table.all()]).toHaveLength(METRICS_MAX);
  expect(find('more')).toEqual({ kind: 'gauge', unit: '' });
  expect(lines.filter((line) => line.includes('metrics.full'))).toHaveLength(1);
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
