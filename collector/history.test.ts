import { encodeBatch, type Batch } from '@muster/proto/batch';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { openTestCollector, readJson, type TestCollector } from './test-collector.ts';

const WINDOW_MS = 300_000;
const HOUR_MS = 3_600_000;
const NOW_MS = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;

let collector: TestCollector;
let token: string;

beforeAll(async () => {
  collector = await openTestCollector();
  ({ token } = await collector.enroll('web-1', 'a'.repeat(64)));
});

afterAll(() => collector.close());

const ticksMs = Array.from({ length: 24 }, (_, i) => NOW_MS - 30 * HOUR_MS + i * WINDOW_MS);
const PAST: Batch = {
  epoch: 0,
  seq: 3,
  sentMs: NOW_MS,
  everyMs: WINDOW_MS,
  ticksMs,
  series: [
    ['system.cpu.utilization', ''],
    ['queue.jobs', 'name=mail'],
  ],
  described: [['queue.jobs', 'counter', '{job}']],
  values: Float64Array.from([...ticksMs.map((_, i) => i / 100), ...ticksMs.map((_, i) => 600 * i)]),
  events: [{ kind: 'boot', atMs: ticksMs[3] ?? 0 }],
};

function tell(batch: Batch, { host = 'web-1', key = collector.key, type = 'application/x-msgpack' } = {}) {
  return fetch(`${collector.origin}/api/v1/hosts/${host}/history`, {
    method: 'POST',
    body: new Uint8Array(encodeBatch(batch)),
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': type },
  });
}

async function read(metric: string) {
  const range = `fromMs=${NOW_MS - 40 * HOUR_MS}&toMs=${NOW_MS}`;
  return readJson(await collector.asAdmin(`/api/v1/series?host=web-1&metric=${metric}&${range}`));
}

test('the past of a host is told by the administrator, and shown with kind, unit and events', async () => {
  for (let times = 0; times < 2; times += 1) {
    const response = await tell(PAST);
    expect([response.status, await readJson(response)]).toEqual([200, { ack: 3 }]);
  }
  expect(await read('system.cpu.utilization')).toMatchObject({
    series: [{ tsMs: ticksMs, values: ticksMs.map((_, i) => i / 100) }],
  });
  expect(await read('queue.jobs')).toMatchObject({
    kind: 'counter',
    unit: '{job}/s',
    series: [{ labels: { name: 'mail' }, tsMs: ticksMs.slice(1), values: ticksMs.slice(1).map(() => 2) }],
  });
  const range = `fromMs=${NOW_MS - 40 * HOUR_MS}&toMs=${NOW_MS}`;
  const { events } = await readJson(await collector.asAdmin(`/api/v1/hosts/web-1/events?${range}`));
  expect(events).toEqual([expect.objectContaining({ kind: 'boot', atMs: ticksMs[3] })]);
});

const cpu = (tick: number, value: number, more: readonly number[] = []): Batch => ({
  ...PAST,
  series: [['system.cpu.utilization', '']],
  described: [],
  events: [],
  ticksMs: [tick, ...more],
  values: Float64Array.from([tick, ...more], () => value),
});

test.for([
  [
    'two ticks in the same five minutes',
    cpu(NOW_MS - 5 * HOUR_MS, 0.5, [NOW_MS - 5 * HOUR_MS + 60_000]),
    'push what is finer as samples',
  ],
  ['what has yet to come', cpu(NOW_MS + 2 * HOUR_MS, 0.5), 'too far in the future'],
  ['what no tier keeps', cpu(NOW_MS - 400 * 24 * HOUR_MS, 0.5), 'older than 365 days is kept nowhere'],
  ['what a metric cannot be', cpu(NOW_MS - 5 * HOUR_MS, 1.7), 'cannot be 1.7'],
  [
    'more days than one row may hold',
    cpu(NOW_MS - 40 * 24 * HOUR_MS, 0.5, [NOW_MS - 5 * HOUR_MS]),
    'in several batches',
  ],
] as const)('%s is refused in words, whole', async ([, batch, words]) => {
  const before = await read('system.cpu.utilization');
  const response = await tell(batch);
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(words)]);
  expect(await read('system.cpu.utilization')).toEqual(before);
});

test('it is the administrator’s to tell, of a host that there is, as MessagePack', async () => {
  expect((await tell(PAST, { key: token })).status).toBe(403);
  expect((await tell(PAST, { host: 'nobody' })).status).toBe(404);
  expect((await tell(PAST, { type: 'text/plain' })).status).toBe(415);
  const response = await fetch(`${collector.origin}/api/v1/hosts/web-1/history`, {
    method: 'POST',
    body: '{"v":1}',
    headers: { Authorization: `Bearer ${collector.key}`, 'Content-Type': 'application/x-msgpack' },
  });
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('Cannot read the history')]);
});
