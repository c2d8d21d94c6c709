import type { HostRow } from '@muster/proto/api';
import { type Accessor, batch, createSignal, onCleanup } from 'solid-js';
import { createStore, produce, reconcile } from 'solid-js/store';

import type { Api, Fault } from './api.ts';
import type { Live } from './live.ts';

export type Fleet = {
  /** Every host by its id; a store, so that a cell follows only its own field. */
  readonly rows: Readonly<Record<string, HostRow>>;
  /** The ids, in no order; changes only when a host comes or goes. */
  readonly hosts: Accessor<readonly string[]>;
  /** Whether the fleet was read at all. */
  readonly loaded: Accessor<boolean>;
  /** Why it could not be read, while it was not. */
  readonly fault: Accessor<Fault | null>;
  readonly load: () => Promise<void>;
};

/** The rows of all hosts: read once over HTTP for the first sight, then kept by the live connection. */
export function createFleet(api: Api, live: Live): Fleet {
  const [rows, setRows] = createStore<Record<string, HostRow>>({});
  const [hosts, setHosts] = createSignal<readonly string[]>([]);
  const [loaded, setLoaded] = createSignal(false);
  const [fault, setFault] = createSignal<Fault | null>(null);

  const patch = (changed: readonly HostRow[]): void => {
    const added = changed.filter((row) => rows[row.host] === undefined).map((row) => row.host);
    for (const row of changed) setRows(row.host, reconcile(row));
    if (added.length > 0) setHosts((known) => [...known, ...added]);
  };
  const replace = (all: readonly HostRow[]): void => {
    const kept = new Set(all.map((row) => row.host));
    const gone = hosts().filter((host) => !kept.has(host));
    if (gone.length > 0) {
      setHosts((known) => known.filter((host) => kept.has(host)));
      setRows(
        produce((draft) => {
          for (const host of gone) Reflect.deleteProperty(draft, host);
        }),
      );
    }
    patch(all);
    setLoaded(true);
  };
  const load = async (): Promise<void> => {
    setFault(null);
    const reply = await api.readHosts();
    if (loaded()) return; // the live snapshot was faster and is newer
    if (reply.ok) batch(() => replace(reply.value.hosts));
    else setFault(reply.error);
  };

  const unfollow = live.follow('fleet', (message) => {
    if (message.kind === 'fleet-snapshot') batch(() => replace(message.rows));
    if (message.kind === 'fleet-patch') batch(() => patch(message.rows));
  });
  onCleanup(unfollow);
  void load();
  return { rows, hosts, loaded, fault, load };
}
