import { createMemo, createSignal, For, Index, type JSX, Show } from 'solid-js';

import { hasWords } from './has-words.ts';

/** From so many on one looks for a row instead of reading them all. */
const SEARCHED_FROM = 10;

export type FactColumn = { readonly title: string; readonly isNumber?: boolean };

/** A card with a table in a box of its own, of which it may be wider. `children` makes one row. */
export function FactTable<Fact>(props: {
  /** Its class, and its name in tests. */
  readonly name: string;
  readonly title: string;
  readonly note?: string;
  readonly columns: readonly FactColumn[];
  readonly rows: readonly Fact[];
  /** How many rows are there to be seen. */
  readonly max: number;
  /** Whether there is a card; if that is not said, where there are rows. */
  readonly isThere?: boolean;
  /** By what rows are looked for. */
  readonly search: { readonly hint: string; readonly textOf: (row: Fact) => string };
  readonly children: (row: () => Fact) => JSX.Element;
}): JSX.Element {
  const [text, setText] = createSignal('');
  const found = createMemo(() => props.rows.filter((row) => hasWords(props.search.textOf(row), text())));
  return (
    <Show when={props.isThere ?? props.rows.length > 0}>
      <section class={`card fact-table ${props.name}`} data-testid={props.name}>
        <div class="fact-head">
          <h2>
            {props.title} <span class="hint">{props.note}</span>
          </h2>
          <Show when={props.rows.length >= SEARCHED_FROM}>
            <input
              class="field"
              type="search"
              placeholder={props.search.hint}
              aria-label={`Search ${props.title.toLowerCase()}`}
              value={text()}
              onInput={(event) => setText(event.currentTarget.value)}
            />
          </Show>
        </div>
        <Show when={found().length > 0}>
          <div class="scroller" tabindex="0" role="region" aria-label={props.title}>
            <table>
              <thead>
                <tr>
                  <For each={props.columns}>
                    {({ title, isNumber }) => (
                      <th scope="col" classList={{ number: isNumber ?? false }}>
                        {title}
                      </th>
                    )}
                  </For>
                </tr>
              </thead>
              <tbody>
                <Index each={found().slice(0, props.max)}>{props.children}</Index>
              </tbody>
            </table>
          </div>
        </Show>
        <Show when={found().length === 0 && props.rows.length > 0}>
          <p class="hint">None of {props.rows.length} matches</p>
        </Show>
        <Show when={found().length > props.max}>
          <p class="hint">{found().length - props.max} more not shown; search for them</p>
        </Show>
      </section>
    </Show>
  );
}

/** A name from the host, and in a second line what tells it from others. */
export function NameCell(props: { readonly name: string; readonly hint: string }): JSX.Element {
  return (
    <td class="fact-name">
      <bdi>{props.name}</bdi>
      <Show when={props.hint !== ''}>
        <bdi class="hint" title={props.hint}>
          {props.hint}
        </bdi>
      </Show>
    </td>
  );
}
