import { expect, test } from 'vitest';

import { makeLog } from '@muster/proto/log';

import { StoreError } from './domain/store-error.ts';
import { makeLatest } from './ingest/latest.ts';
import { makeInventoryStore } from './inventory-store.ts';
import type { HostRecord, State, StateTable } from './store/state.ts';

test('what a host is, said while the disk is full, is stored when it is not', async () => {
  let record: HostRecord = { host: 'web-1', name: 'web', machine: 'a', enrolledMs: 1, inventory: null };
  let isFull = true;
  let attempts = 0;
  const hosts: Pick<StateTable<HostRecord>, 'get' | 'change'> = {
    get: () => record,
    change: async (_host, step) => {
      attempts += 1;
      if (isFull) throw new StoreError('full', true, null);
      record = step(record);
    },
  };
  const latest = makeLatest();
  latest.addHost('web-1', 'web', { cores: 4 });
  const lines: string[] = [];
  const log = makeLog((line) => void lines.push(line), Date.now);
  const inventories = makeInventoryStore({ hosts } as State, latest, log);
  inventories.store('web-1');
  await expect.poll(() => attempts).toBe(1);
  expect(record.inventory).toBeNull();
  isFull = false;
  await expect
    .poll(() => {
      inventories.retry();
      return record.inventory;
    })
    .toEqual({ cores: 4 });
  inventories.retry();
  expect([attempts, lines]).toEqual([2, []]);
});
