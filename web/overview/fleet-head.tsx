import { For, type JSX } from 'solid-js';

import { FLEET_COLUMNS, type FleetColumn, type FleetSort } from './fleet-columns.ts';

type HeadProps = { readonly sort: FleetSort; readonly onSort: (column: FleetColumn) => void };

/** The headings of the fleet; pressing one sorts by it. */
export function FleetHead(props: HeadProps): JSX.Element {
  const order = (column: FleetColumn): 'ascending' | 'descending' | 'none' =>
    props.sort.column.key === column.key ? props.sort.direction : 'none';
  return (
    <div class="fleet-row fleet-head" role="row">
      <For each={FLEET_COLUMNS}>
        {(column) => (
          <div class={`fleet-cell cell-${column.key}`} role="columnheader" aria-sort={order(column)}>
            <button type="button" class="sort-button" onClick={() => props.onSort(column)}>
              {column.title}
            </button>
          </div>
        )}
      </For>
    </div>
  );
}

/** The same where there is no room for headings. */
export function FleetSortSelect(props: HeadProps): JSX.Element {
  const choose = (key: string): void => {
    const column = FLEET_COLUMNS.find((candidate) => candidate.key === key);
    if (column !== undefined) props.onSort(column);
  };
  return (
    <label class="sort-select">
      Sort by
      <select class="field" onChange={(event) => choose(event.currentTarget.value)}>
        <For each={FLEET_COLUMNS}>
          {(column) => (
            <option value={column.key} selected={column.key === props.sort.column.key}>
              {column.title}
            </option>
          )}
        </For>
      </select>
    </label>
  );
}
