import type { CompletenessReply } from '@muster/proto/api';
import { Index, type JSX, Show } from 'solid-js';

import { useApp } from '../app-context.ts';
import { createCompleteness, explain, listGaps, listHours, summarise } from './completeness.ts';

/** Whether everything arrived that the host measured, in one line; what is missing, and why, opens under it. */
export function DataLine(props: { readonly host: string }): JSX.Element {
  const reply = createCompleteness(useApp(), props.host);
  const summary = (): string => {
    const known = reply();
    return known === null ? '' : summarise(known);
  };
  return (
    <Show when={summary() !== '' && reply()}>
      {(known) => (
        <Show when={hasDetail(known())} fallback={<p class="data-line hint">Data: {summary()}</p>}>
          <details class="data-line" data-testid="data-line">
            <summary class="hint">Data: {summary()}</summary>
            <Detail reply={known()} />
          </details>
        </Show>
      )}
    </Show>
  );
}

function hasDetail(reply: CompletenessReply): boolean {
  return listHours(reply).length > 0;
}

function Detail(props: { readonly reply: CompletenessReply }): JSX.Element {
  return (
    <div class="card data-detail" tabindex="0" role="region" aria-label="What is missing">
      <Index each={explain(props.reply)}>{(sentence) => <p>{sentence()}</p>}</Index>
      <table>
        <thead>
          <tr>
            <th scope="col">Hour</th>
            <th scope="col">Ticks</th>
            <th scope="col">Lost</th>
            <th scope="col">Set aside</th>
          </tr>
        </thead>
        <tbody>
          <Index each={listHours(props.reply)}>
            {(row) => (
              <tr>
                <td>{row().hour}</td>
                <td>{row().arrived}</td>
                <td>{row().lost}</td>
                <td>{row().aside}</td>
              </tr>
            )}
          </Index>
        </tbody>
      </table>
      <ul>
        <Index each={listGaps(props.reply)}>{(gap) => <li>{gap()}</li>}</Index>
      </ul>
    </div>
  );
}
