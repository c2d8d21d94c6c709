import { encodeBatch } from '@muster/proto/batch';
import { findAbout } from '@muster/proto/custom';
import { ok } from '@muster/proto/result';
import { expect, test } from 'vitest';

import { StoreError } from '../domain/store-error.ts';
import { makeTestBatch } from '../test-collector.ts';
import { makeBases } from './bases.ts';
import { acceptBatch, type IngestOptions } from './ingest.ts';
import { makeLatest } from './latest.ts';
import { makeQuarantineShare } from './quarantine-share.ts';

test('acceptBatch() acknowledges what a host says that it is only when that is stored', async () => {
  const stored: unknown[] = [];
  let fault: StoreError | null = new StoreError('the disk is full', true, null);
  const options: IngestOptions = {
    admitRun: async () => true,
    bases: makeBases({ bytesMax: 1e6, now: () => 1000 }),
    latest: makeLatest({ find: findAbout, version: () => 0 }),
    buffer: { add: async () => ok(undefined), heldBytes: () => 0, close: async () => undefined },
    quarantine: makeQuarantineShare(),
    pastMsMax: 86_400_000,
    onValues: () => undefined,
    isShown: () => true,
    learnMetrics: async () => undefined,
    async storeInventory(host, inventory) {
      await Promise.resolve();
      if (fault !== null) throw fault;
      stored.push([host, inventory]);
    },
    everyMs: () => undefined,
    onQuarantined: () => undefined,
    fault: () => null,
    now: () => 1000,
  };
  const sender = { host: 'web-1', token: 'hash' };
  const body = encodeBatch({ ...makeTestBatch(7, 1000, [['system.uptime', '', 1]]), info: { cores: 4 } });
  await expect(acceptBatch(options, sender, body)).rejects.toBe(fault);
  fault = null;
  expect(await acceptBatch(options, sender, body)).toEqual(ok({ ack: 7, nowMs: 1000, heldMs: 0 }));
  expect(stored).toEqual([['web-1', { cores: 4 }]]);
});
