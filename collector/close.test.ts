import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { encodeBatch } from '@muster/proto/batch';

import { makeTestBatch, openTestCollector } from './test-collector.ts';

test('a collector that closes waits for what hosts have just said about themselves', async () => {
  const collector = await openTestCollector();
  const tokens: string[] = [];
  for (let i = 0; i < 20; i += 1) tokens.push((await collector.enroll(`host-${i}`, String(i).padStart(64, '0'))).token);
  const body = encodeBatch({ ...makeTestBatch(1, Date.now(), []), info: { os: 'Debian' } });
  const statuses = await Promise.all(tokens.map(async (token) => (await collector.push(token, body)).status));
  await collector.stop();
  expect(new Set(statuses)).toEqual(new Set([200]));
  // Where blocks lie on their way into the store.
  expect(await readdir(join(collector.data, 'incoming'))).toEqual([]);
  expect(collector.lines.filter((line) => line.includes('host.not-stored'))).toEqual([]);
  await rm(collector.data, { recursive: true });
});
