import type { HostRow } from '@muster/proto/api';
import { type Accessor, createMemo, createSignal, onCleanup, untrack } from 'solid-js';

import type { Fleet } from '../fleet.ts';
import { compareRows, type FleetSort, matchesFilter } from './fleet-columns.ts';

/** Rows keep their places this long while their values move, so that one can read and hit them. */
const REORDER_MS = 5000;

/** The rows to show, filtered and in order. Looks anew when asked otherwise, when hosts come or go, and now and then. */
export function createFleetOrder(
  fleet: Fleet,
  filter: Accessor<string>,
  sort: Accessor<FleetSort>,
): Accessor<readonly HostRow[]> {
  const [turn, setTurn] = createSignal(0);
  const timer = setInterval(() => setTurn((count) => count + 1), REORDER_MS);
  onCleanup(() => clearInterval(timer));
  return createMemo(
    () => {
      turn();
      const hosts = fleet.hosts();
      const [wanted, order] = [filter(), sort()];
      return untrack(() =>
        hosts
          .flatMap((host) => fleet.rows[host] ?? [])
          .filter((row) => matchesFilter(row, wanted))
          .toSorted((a, b) => compareRows(a, b, order)),
      );
    },
    [],
    { equals: (before, after) => before.length === after.length && before.every((row, index) => row === after[index]) },
  );
}
