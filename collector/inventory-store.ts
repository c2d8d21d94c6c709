import type { Log } from '@muster/proto/log';

import { StoreError } from './domain/store-error.ts';
import type { Latest } from './ingest/latest.ts';
import type { State } from './store/state.ts';

/** Stores what hosts are. An agent says it when it changes, so what could not be stored is tried again here. */
export type InventoryStore = {
  /** Stores what a host is when it has changed. Not awaited by the ingest, and one write at a time for a host. */
  readonly store: (host: string) => void;
  /** Tries again what failed. */
  readonly retry: () => void;
  /** Waits for those under way. */
  close(): Promise<void>;
};

export function makeInventoryStore(state: State, latest: Latest, log: Log): InventoryStore {
  const storing = new Map<string, Promise<void>>();
  const failed = new Set<string>();

  async function storeChanged(host: string): Promise<void> {
    for (;;) {
      const record = state.hosts.get(host);
      const inventory = latest.inventory(host);
      if (record === undefined || JSON.stringify(record.inventory) === JSON.stringify(inventory)) return;
      await state.hosts.change(host, (row) => ({ ...row, inventory }));
    }
  }

  function store(host: string): void {
    if (storing.has(host)) return;
    failed.delete(host);
    const stored = storeChanged(host)
      .catch((error: unknown) => {
        failed.add(host);
        // A full disk has been told of already.
        if (!(error instanceof StoreError) || !error.isFull) log.error('host.not-stored', { host, error });
      })
      .finally(() => storing.delete(host));
    storing.set(host, stored);
  }

  return {
    store,
    retry() {
      for (const host of failed) store(host);
    },
    async close() {
      await Promise.all(storing.values());
    },
  };
}
