import type { HostRow, LatestValue } from '@muster/proto/api';
import type { Inventory } from '@muster/proto/batch';
import { type Accessor, createEffect, createSignal, on, onCleanup } from 'solid-js';

import type { App } from '../app-context.ts';

export type HostState =
  | { readonly kind: 'loading' | 'ready' | 'missing' }
  | { readonly kind: 'failed'; readonly message: string };

export type Host = {
  readonly state: Accessor<HostState>;
  readonly row: Accessor<HostRow | null>;
  readonly inventory: Accessor<Inventory | null>;
  /** The newest value of every series, by `metric{labels}`; a new map with every change. */
  readonly latest: Accessor<ReadonlyMap<string, LatestValue>>;
  readonly load: () => Promise<void>;
};

/** One host as it is now, kept up by its live topic. `onValues` is given what each message brings. */
export function createHost(
  app: App,
  host: string,
  onValues: (values: readonly LatestValue[], everyMs: number | null) => void,
): Host {
  const [state, setState] = createSignal<HostState>({ kind: 'loading' });
  const [row, setRow] = createSignal<HostRow | null>(app.fleet.rows[host] ?? null);
  const [inventory, setInventory] = createSignal<Inventory | null>(null);
  const [latest, setLatest] = createSignal<ReadonlyMap<string, LatestValue>>(new Map());

  const take = (newRow: HostRow, values: readonly LatestValue[], known: ReadonlyMap<string, LatestValue>): void => {
    setRow(newRow);
    setLatest(new Map([...known, ...values.map((value) => [`${value.metric}{${value.labels}}`, value] as const)]));
    setState({ kind: 'ready' });
    onValues(values, newRow.everyMs);
  };
  const load = async (): Promise<void> => {
    if (state().kind !== 'ready') setState({ kind: 'loading' });
    const reply = await app.api.readHost(host);
    if (reply.ok) {
      setInventory(reply.value.inventory);
      // The live topic may have been faster, and newer.
      if (state().kind !== 'ready') take(reply.value.row, reply.value.latest, new Map());
    } else if (reply.error.status === 404) setState({ kind: 'missing' });
    else if (state().kind !== 'ready') setState({ kind: 'failed', message: reply.error.message });
  };

  const unfollow = app.live.follow(`host/${host}`, (message) => {
    if (message.kind === 'refused' && message.code === 'unknown-host') setState({ kind: 'missing' });
    // A snapshot is everything: what it does not name, the collector has forgotten.
    if (message.kind === 'host-snapshot') take(message.row, message.values, new Map());
    if (message.kind === 'host-patch') take(message.row, message.values, latest());
  });
  onCleanup(unfollow);
  void load();
  // While the connection was lost the host may have been set up anew, with another kernel or agent.
  createEffect(on(app.live.reconnections, () => void load(), { defer: true }));
  return { state, row, inventory, latest, load };
}
