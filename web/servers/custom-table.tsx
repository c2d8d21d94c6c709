import type { LatestValue } from '@muster/proto/api';
import { createMemo, createSignal, Index, type JSX, Show } from 'solid-js';

import { listCustoms } from './customs.ts';

/** From so many on one looks for them by name. */
const SEARCHED_FROM = 10;
/** More rows than this nobody reads; the search finds the others. */
const ROWS_MAX = 100;

/** What services of the host tell of themselves: every series, with its newest value. */
export function CustomTable(props: { readonly latest: ReadonlyMap<string, LatestValue> }): JSX.Element {
  const [search, setSearch] = createSignal('');
  const all = createMemo(() => listCustoms(props.latest.values(), ''));
  const found = createMemo(() =>
    search().trim() === '' ? all() : listCustoms(props.latest.values(), search().trim()),
  );
  return (
    <Show when={all().length > 0}>
      <section class="card customs" data-testid="customs">
        <div class="customs-head">
          <h2>Custom metrics</h2>
          <Show when={all().length >= SEARCHED_FROM}>
            <input
              class="field"
              type="search"
              placeholder="Name or label"
              aria-label="Search custom metrics"
              value={search()}
              onInput={(event) => setSearch(event.currentTarget.value)}
            />
          </Show>
        </div>
        <Show when={found().length > 0} fallback={<p class="hint">None of {all().length} matches</p>}>
          <div class="scroller" tabindex="0" role="region" aria-label="Custom metrics">
            <table>
              <thead>
                <tr>
                  <th scope="col">Metric</th>
                  <th scope="col">Labels</th>
                  <th scope="col" class="number">
                    Now
                  </th>
                </tr>
              </thead>
              <tbody>
                <Index each={found().slice(0, ROWS_MAX)}>
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
                </Index>
              </tbody>
            </table>
          </div>
        </Show>
        <Show when={found().length > ROWS_MAX}>
          <p class="hint">{found().length - ROWS_MAX} more not shown; search for them</p>
        </Show>
      </section>
    </Show>
  );
}
