import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { encodeBatch } from '@muster/proto/batch';
import { expect, test } from 'vitest';

import { makeTestBatch, openTestCollector, readJson } from './test-collector.ts';

test('a custom metric is shown with its kind and unit, live, as a series, and after a restart', async () => {
  const data = await mkdtemp(join(tmpdir(), 'muster-custom-'));
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  const first = await openTestCollector({ data });
  const { token } = await first.enroll('web-1', 'a'.repeat(64));
  const described = [
    ['http.request.body', 'counter', 'By'],
    ['queue', 'gauge', '{job}'],
  ] as const;
  for (const [seq, bytes] of [1000, 3000].entries()) {
    const batch = makeTestBatch(seq, nowMs + seq * 1000, [
      ['http.request.body', 'route=/a', bytes],
      ['queue', '', 7],
      ['untold', '', 1],
    ]);
    expect((await first.push(token, encodeBatch({ ...batch, described }))).status).toBe(200);
  }
  const shown = { metric: 'http.request.body', labels: 'route=/a', tsMs: nowMs + 1000 };
  const { latest } = await readJson(await first.asAdmin('/api/v1/hosts/web-1'));
  expect(latest).toEqual([
    { ...shown, value: 2000, custom: { kind: 'counter', unit: 'By/s' } },
    { metric: 'queue', labels: '', tsMs: nowMs + 1000, value: 7, custom: { kind: 'gauge', unit: '{job}' } },
    { metric: 'untold', labels: '', tsMs: nowMs + 1000, value: 1, custom: { kind: 'gauge', unit: '' } },
  ]);
  await first.close();

  const second = await openTestCollector({ data });
  const again = await readJson(await second.asAdmin('/api/v1/hosts/web-1'));
  expect(again['latest']).toContainEqual({ ...shown, value: null, custom: { kind: 'counter', unit: 'By/s' } });
  const query = `host=web-1&metric=http.request.body&fromMs=${nowMs}&toMs=${nowMs + 2000}`;
  expect(await readJson(await second.asAdmin(`/api/v1/series?${query}`))).toMatchObject({
    kind: 'counter',
    unit: 'By/s',
    series: [{ labels: { route: '/a' }, tsMs: [nowMs + 1000], values: [2000] }],
  });
  await second.close();
  await rm(data, { recursive: true });
});

test('what a batch says wrongly of its metrics is refused in words', async () => {
  const collector = await openTestCollector();
  const { token } = await collector.enroll('web-1', 'a'.repeat(64));
  const batch = makeTestBatch(1, Date.now(), [['queue', '', 7]]);
  const described = [['queue', 'gauge', 'a unit with spaces']] as const;
  const response = await collector.push(token, encodeBatch({ ...batch, described }));
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('m[0] must be')]);
  await collector.close();
});
