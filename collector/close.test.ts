import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
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

test('a collector that is asked to close again closes once, and whoever asks waits for that', async () => {
  const collector = await openTestCollector();
  await Promise.all([collector.stop(), collector.stop()]);
  const next = await openTestCollector({ data: collector.data });
  await collector.stop(); // must not give away what the next one has locked
  expect(await readdir(collector.data)).toContain('lock');
  expect((await next.asAdmin('/healthz')).status).toBe(200);
  await next.stop();
  await rm(collector.data, { recursive: true });
});

test('a collector that may not use what lies in its directory says what it is, and what to do', async () => {
  const data = await mkdtemp(join(tmpdir(), 'muster-close-'));
  await writeFile(join(data, 'incoming'), '');
  await expect(openTestCollector({ data })).rejects.toThrow(
    `Cannot use the data directory ${data}: ${join(data, 'incoming')} is no directory, or something above it is none; choose another with --data`,
  );
  await rm(data, { recursive: true });
});
