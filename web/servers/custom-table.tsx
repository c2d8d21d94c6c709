import type { LatestValue } from '@muster/proto/api';
import { createMemo, type JSX } from 'solid-js';

import { type Custom, listCustoms } from './customs.ts';
import { FactTable } from './fact-table.tsx';

/** More rows than this nobody reads; the search finds the others. */
const ROWS_MAX = 100;

const COLUMNS = [{ title: 'Metric' }, { title: 'Labels' }, { title: 'Now', isNumber: true }] as const;
const SEARCH = { hint: 'Name or label', textOf: ({ metric, labels }: Custom) => `${metric} ${labels}` } as const;

/** What services of the host tell of themselves: every series, with its newest value. */
export function CustomTable(props: { readonly latest: ReadonlyMap<string, LatestValue> }): JSX.Element {
  const all = createMemo(() => listCustoms(props.latest.values()));
  return (
    <FactTable name="customs" title="Custom metrics" columns={COLUMNS} rows={all()} max={ROWS_MAX} search={SEARCH}>
      {(row) => (
        <tr>
          <td class="custom-text" title={row().metric}>
            <bdi>{row().metric}</bdi>
          </td>
          <td class="custom-text hint" title={row().labels}>
            <bdi>{row().labels}</bdi>
          </td>
          <td class="number">{row().value}</td>
        </tr>
      )}
    </FactTable>
  );
}
