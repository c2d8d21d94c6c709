import { afterAll, beforeAll, expect, test } from 'vitest';

import { encodeBatch, type Batch } from '@muster/proto/batch';
import { isRecord } from '@muster/proto/record';

import {
  encodeCpu,
  makeTestBatch,
  openTestCollector,
  readCode,
  readJson,
  type TestCollector,
} from './test-collector.ts';

// What is known of batches beside their samples: clocks, completeness, and what becomes of old days.

let collector: TestCollector;
let host: { host: string; token: string };

beforeAll(async () => {
  collector = await openTestCollector();
  host = await collector.enroll('web-1', 'a'.repeat(64));
});

afterAll(() => collector.close());

const nowMs = Math.floor(Date.now() / 1000) * 1000;

test('a clock that is wrong by a year is shown, and costs its host the live view and no other host anything', async () => {
  const [wrong, right] = await Promise.all([
    collector.enroll('clock-1', 'd'.repeat(64)),
    collector.enroll('clock-2', 'e'.repeat(64)),
  ]);
  const yearMs = 365 * 86_400_000;
  const samples = [['system.cpu.utilization', '', 0.5]] as const;
  for (let seq = 1; seq <= 5; seq += 1) {
    const push = (token: string, atMs: number): Promise<Response> =>
      collector.push(token, encodeBatch({ ...makeTestBatch(seq, atMs, samples), everyMs: 1000 }));
    const tickMs = nowMs + seq * 1000;
    const replies = await Promise.all([push(wrong.token, tickMs + yearMs), push(right.token, tickMs)]);
    expect(replies.map(({ status }) => status)).toEqual([200, 200]);
  }
  const rows = new Map<unknown, Record<string, unknown>>();
  const list = (await readJson(await collector.asAdmin('/api/v1/hosts')))['hosts'];
  for (const row of Array.isArray(list) ? list : []) if (isRecord(row)) rows.set(row['host'], row);
  expect(rows.get('clock-1')).toMatchObject({ status: 'up', lastMs: null });
  expect(Number(rows.get('clock-1')?.['clockOffsetMs']) / yearMs).toBeCloseTo(1, 3);
  expect(Math.abs(Number(rows.get('clock-2')?.['clockOffsetMs']))).toBeLessThan(60_000);
  const total = async (name: string): Promise<unknown> =>
    (await readJson(await collector.asAdmin(`/api/v1/hosts/${name}/completeness?toMs=${nowMs + 600_000}`)))['total'];
  const batches = { batchesReceived: 5, batchesExpected: 5, dropped: {} };
  expect(await total('clock-1')).toEqual({ ...batches, ticksReceived: 0, ticksExpected: 0, quarantined: 5 });
  expect(await total('clock-2')).toEqual({ ...batches, ticksReceived: 5, ticksExpected: 5, quarantined: 0 });
});

test('GET /api/v1/hosts/:host/completeness counts what arrived, what is missing and what was lost', async () => {
  const { token } = await collector.enroll('complete-1', 'f'.repeat(64));
  const hourMs = Math.floor(nowMs / 3_600_000) * 3_600_000 - 7_200_000;
  const push = async (seq: number, since: number, seconds: readonly number[], more: Partial<Batch> = {}) => {
    const ticksMs = seconds.map((second) => hourMs + second * 1000);
    const values = new Float64Array(ticksMs.length);
    const batch = { ...makeTestBatch(seq, 0, [['system.uptime', '', 1]]), since, ticksMs, values, everyMs: 5000 };
    expect((await collector.push(token, encodeBatch({ ...batch, sentMs: Date.now(), ...more }))).status).toBe(200);
  };
  await push(2, 1, [0, 5]);
  await push(2, 1, [0, 5]); // the reply was lost
  await push(3, 2, [5, 10]); // joined anew after a kill
  await push(6, 5, [3600, 3605], {
    events: [{ kind: 'gap', fromMs: hourMs + 15_000, toMs: hourMs + 20_000, dropped: 7, reason: 'full' }],
  });
  const range = `fromMs=${hourMs}&toMs=${hourMs + 7_200_000}`;
  const reply = await readJson(await collector.asAdmin(`/api/v1/hosts/complete-1/completeness?${range}`));
  const first = { ticksReceived: 3, ticksExpected: 720, batchesReceived: 3, batchesExpected: 3 };
  const second = { ticksReceived: 2, ticksExpected: 2, batchesReceived: 2, batchesExpected: 3 };
  expect(reply).toEqual({
    host: 'complete-1',
    fromMs: hourMs,
    toMs: hourMs + 7_200_000,
    total: {
      ticksReceived: 5,
      ticksExpected: 722,
      batchesReceived: 5,
      batchesExpected: 6,
      dropped: { full: 7 },
      quarantined: 0,
    },
    hours: [
      { hourMs, ...first, dropped: { full: 7 }, quarantined: 0 },
      { hourMs: hourMs + 3_600_000, ...second, dropped: {}, quarantined: 0 },
    ],
    silences: [{ fromMs: hourMs + 10_000, toMs: hourMs + 3_600_000, ticksMissing: 717 }],
    silencesCount: 1,
  });
});

test.for([
  ['web-1', 'fromMs=x', 'bad-query', 400],
  ['web-1', 'fromMs=5&toMs=5', 'bad-range', 400],
  ['web-1', `fromMs=0&toMs=${31 * 86_400_000 + 1}`, 'bad-range', 400],
  ['web-9', '', 'unknown-host', 404],
] as const)('GET /api/v1/hosts/%s/completeness?%s is refused as %s', async ([name, query, code, status]) => {
  const response = await collector.asAdmin(`/api/v1/hosts/${name}/completeness?${query}`);
  expect([response.status, await readCode(response)]).toEqual([status, code]);
});

test('GET /api/v1/hosts/:host/events tells what happened, the newest first, each once', async () => {
  const { token } = await collector.enroll('events-1', '9'.repeat(64));
  const events = [
    { kind: 'boot', atMs: nowMs - 5000 },
    { kind: 'oom-kill', atMs: nowMs - 2000, subject: '<b>java</b> (pid 7)' },
    { kind: 'oom-kill', atMs: nowMs - 2000, subject: 'other (pid 8)' },
    { kind: 'gap', fromMs: nowMs - 4000, toMs: nowMs - 3000, dropped: 7, reason: 'full', seq: 3 },
  ] as const;
  for (const seq of [1, 2]) {
    const batch = { ...makeTestBatch(seq, nowMs + seq, [['system.uptime', '', 1]]), events };
    expect((await collector.push(token, encodeBatch(batch))).status).toBe(200);
  }
  const reply = await readJson(await collector.asAdmin(`/api/v1/hosts/events-1/events?toMs=${nowMs}`));
  expect(reply).toMatchObject({ host: 'events-1', toMs: nowMs, eventsCount: 4 });
  expect(reply['events']).toEqual([
    { kind: 'oom-kill', atMs: nowMs - 2000, subject: '<b>java</b> (pid 7)' },
    { kind: 'oom-kill', atMs: nowMs - 2000, subject: 'other (pid 8)' },
    { kind: 'gap', atMs: nowMs - 4000, toMs: nowMs - 3000, dropped: 7, subject: 'full' },
    { kind: 'boot', atMs: nowMs - 5000 },
  ]);
  const none = await collector.asAdmin('/api/v1/hosts/nobody/events');
  expect([none.status, await readCode(none)]).toEqual([404, 'unknown-host']);
});

test('DELETE /api/v1/samples drops whole days that are old, says which, and leaves today and yesterday', async () => {
  const dayMs = 86_400_000;
  const oldMs = Math.floor(nowMs / dayMs) * dayMs - 3 * dayMs + 1000;
  expect((await collector.push(host.token, encodeCpu(1, oldMs, 0.5))).status).toBe(200);
  expect((await collector.push(host.token, encodeCpu(2, nowMs, 0.25))).status).toBe(200);
  const refused = await collector.asAdmin(`/api/v1/samples?beforeMs=${nowMs}`, 'DELETE');
  expect([refused.status, await readCode(refused)]).toEqual([400, 'bad-range']);
  const bad = await collector.asAdmin('/api/v1/samples', 'DELETE');
  expect([bad.status, await readCode(bad)]).toEqual([400, 'bad-query']);
  const dropped = await collector.asAdmin(`/api/v1/samples?beforeMs=${oldMs + dayMs}`, 'DELETE');
  expect(await readJson(dropped)).toEqual({ days: [new Date(oldMs).toISOString().slice(0, 10)], rows: 1 });
  const read = async (fromMs: number): Promise<unknown> => {
    const query = `host=web-1&metric=system.cpu.utilization&fromMs=${fromMs}&toMs=${fromMs + 1}`;
    const { tier, series } = await readJson(await collector.asAdmin(`/api/v1/series?${query}`));
    return [tier, series];
  };
  // The means stay, and are what is drawn.
  expect(await read(oldMs)).toEqual(['5m', [{ labels: {}, tsMs: [oldMs - 1000], values: [0.5] }]]);
  expect(await read(nowMs)).toEqual(['raw', [{ labels: {}, tsMs: [nowMs], values: [0.25] }]]);
});
