import { useSearchParams } from '@solidjs/router';
import { createEffect, createMemo, createSignal, For, type JSX, Match, Show, Switch } from 'solid-js';

import { useApp } from '../app-context.ts';
import { createTitle } from '../title.ts';
import { Notice } from '../ui/notice.tsx';
import { AddHost } from './add-host.tsx';
import { type FleetColumn, nextSort, parseSort } from './fleet-columns.ts';
import { FleetCounts } from './fleet-counts.tsx';
import { FleetHead, FleetSortSelect } from './fleet-head.tsx';
import { createFleetOrder } from './fleet-order.ts';
import { FleetRow } from './fleet-row.tsx';

/** Every host, live, a row each. */
export function FleetPage(): JSX.Element {
  const { fleet } = useApp();
  createTitle(() => 'Fleet');
  return (
    <main class="page">
      <Switch>
        <Match when={fleet.loaded() && fleet.hosts().length > 0}>
          <FleetTable />
        </Match>
        <Match when={fleet.loaded()}>
          <Notice title="No hosts yet">
            <p>A host appears here as soon as its agent has enrolled. To add one:</p>
            <AddHost />
          </Notice>
        </Match>
        <Match when={fleet.fault()}>
          {(fault) => (
            <Notice title="The fleet could not be read" onRetry={() => void fleet.load()}>
              <p>{fault().message}</p>
            </Notice>
          )}
        </Match>
        <Match when={!fleet.loaded()}>
          <p class="loading">Loading the fleet…</p>
        </Match>
      </Switch>
    </main>
  );
}

function FleetTable(): JSX.Element {
  const { fleet, live } = useApp();
  const [search, setSearch] = useSearchParams();
  // The field is ahead of the address bar, which follows without making history of every letter.
  const [filter, setFilter] = createSignal(typeof search['filter'] === 'string' ? search['filter'] : '');
  // A link to the plain fleet clears the field too.
  createEffect(() => (search['filter'] === undefined ? setFilter('') : undefined));
  const sort = createMemo(() => parseSort(search['sort'], search['order']));
  const rows = createFleetOrder(fleet, filter, sort);
  const sortBy = (column: FleetColumn): void => {
    const next = nextSort(sort(), column);
    setSearch({ sort: next.column.key, order: next.direction }, { replace: true });
  };
  const filterBy = (text: string): void => {
    setFilter(text);
    setSearch({ filter: text }, { replace: true });
  };
  return (
    <>
      <div class="fleet-tools">
        <h1>Fleet</h1>
        <FleetCounts />
        <FleetSortSelect sort={sort()} onSort={sortBy} />
        <input
          class="field fleet-filter"
          type="search"
          placeholder="Name, status or label"
          aria-label="Filter hosts"
          value={filter()}
          onInput={(event) => filterBy(event.currentTarget.value)}
        />
      </div>
      <div class="card fleet" data-stale={live.state() === 'lost'}>
        <div role="table" aria-label="Hosts">
          <FleetHead sort={sort()} onSort={sortBy} />
          <For each={rows()}>{(row) => <FleetRow row={row} />}</For>
        </div>
        <Show when={rows().length === 0}>
          <p class="fleet-none">No host matches “{filter()}”.</p>
        </Show>
      </div>
      <details class="add-host">
        <summary>Add a host</summary>
        <AddHost />
      </details>
    </>
  );
}
