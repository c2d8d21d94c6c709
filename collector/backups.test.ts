import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import type { JobEnd } from '@muster/proto/api';
import { makeLog } from '@muster/proto/log';
import { err, ok } from '@muster/proto/result';

import { makeBackups } from './backups.ts';
import type { Jobs } from './jobs.ts';
import { openTestStore } from './test-store.ts';
import { createBackup } from './store/backup.ts';
import { openCompaction } from './store/compaction.ts';
import { openVersions } from './store/rollup.ts';

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 10, 22);

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-backups-'));
});

afterEach(() => rm(folder, { recursive: true }));

/** Looks at each of some hours; the jobs that were started are `act`. */
async function look(hours: readonly number[], act: (nowMs: number) => Promise<JobEnd>) {
  let nowMs = START_MS;
  const lines: string[] = [];
  const log = makeLog(
    (line) => void lines.push(line),
    () => nowMs,
  );
  const start: Jobs['start'] = () => ok({ ended: act(nowMs) });
  const lookOnce = makeBackups({ folder, everyMs: 24 * HOUR_MS, keep: 2, start, log, now: () => nowMs });
  for (const hour of hours) {
    nowMs = START_MS + hour * HOUR_MS;
    await lookOnce(new AbortController().signal);
  }
  return lines.map((line) => JSON.parse(line) as { event: string; error?: string; todo?: string });
}

function end(message: string): Promise<JobEnd> {
  return Promise.resolve({ error: { code: 'failed', message } });
}

test('a backup is made when the newest is a day old, also after the clock was set back; old ones are removed', async () => {
  const store = await openTestStore({ 'backups/allowed_path': folder });
  const compaction = await openCompaction(store.engine, await openVersions(store.engine, Date.now));
  const madeAt: number[] = [];
  const events = await look([0, 1, 23, 24, 25, 49, 20, 21], async (nowMs) => {
    madeAt.push((nowMs - START_MS) / HOUR_MS);
    const options = { folder, isFull: true, version: '1.0.0', now: () => nowMs };
    return { result: await createBackup({ engine: store.engine, compaction }, options) };
  });
  await store.close();
  expect(madeAt).toEqual([0, 24, 49, 20]);
  expect(events.map(({ event }) => event).filter((event) => event === 'backup.made')).toHaveLength(4);
  expect((await readdir(folder)).filter((name) => name.endsWith('Z'))).toHaveLength(2);
});

test('one that failed is told with what to do, and tried again a quarter of an hour later', async () => {
  let tries = 0;
  const events = await look([0, 0.1, 0.2, 0.25, 0.3], () => {
    tries += 1;
    return end('Cannot back up: the disk is full');
  });
  expect(tries).toBe(2);
  expect(events.map(({ event }) => event)).toEqual(['backup.failed', 'backup.failed']);
  expect(events[0]).toMatchObject({ error: 'Cannot back up: the disk is full' });
  expect(events[0]?.todo).toContain('tried again in 15 min');
});

test('while another job runs it waits for the next look', async () => {
  const log = makeLog(() => expect.unreachable(), Date.now);
  const start: Jobs['start'] = () => err({ status: 409, code: 'busy', message: 'another job' });
  const lookOnce = makeBackups({ folder, everyMs: HOUR_MS, keep: 1, start, log, now: Date.now });
  await lookOnce(new AbortController().signal);
  expect(await readdir(folder)).toEqual([]);
});
