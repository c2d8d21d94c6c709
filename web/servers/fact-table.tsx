import { For, type JSX, Show } from 'solid-js';

export type FactColumn = { readonly title: string; readonly isNumber?: boolean };

/** A card with a table in a box of its own, of which it may be wider. `children` are the rows. */
export function FactTable(props: {
  readonly title: string;
  readonly note?: string;
  readonly testId: string;
  readonly columns: readonly FactColumn[];
  /** How many rows there are, and how many of them are there to be seen. */
  readonly count: number;
  readonly shown: number;
  readonly children: JSX.Element;
}): JSX.Element {
  return (
    <section class="card fact-table" data-testid={props.testId}>
      <h2>
        {props.title} <span class="hint">{props.note}</span>
      </h2>
      <Show when={props.count > 0}>
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
            <tbody>{props.children}</tbody>
          </table>
        </div>
      </Show>
      <Show when={props.count > props.shown}>
        <p class="hint">{props.count - props.shown} more not shown</p>
      </Show>
    </section>
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
