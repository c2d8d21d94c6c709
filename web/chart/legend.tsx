import { createMemo, For, Index, type JSX, Show } from 'solid-js';

import { formatQuantity } from '../format.ts';
import { type Line, type Look, type Model, valueAt } from './model.ts';

/** The groups of a chart with their values at an instant. Pressing one hides it, so that the others can be seen. */
export function Legend(props: {
  readonly look: Look;
  readonly model: Model;
  readonly atMs: number;
  readonly hidden: ReadonlySet<string>;
  readonly onToggle: (group: string) => void;
}): JSX.Element {
  // Texts compare by value, so that entries stay in place while the numbers in them move.
  const groups = createMemo(() => listGroups(props.model.lines), [], { equals: sameTexts });
  return (
    <ul class="legend">
      <For each={groups()}>
        {(group) => (
          <li>
            <button
              type="button"
              class="legend-entry"
              aria-pressed={!props.hidden.has(group)}
              title={`${group}: press to show or hide`}
              onClick={() => props.onToggle(group)}
            >
              <span class={`swatch swatch-${(findGroup(props.model, group)[0]?.colour ?? 0) + 1}`} />
              <span class="legend-name">{group}</span>
              <Index each={readGroup(props.look, props.model, group, props.atMs)}>
                {(reading) => (
                  <span class="legend-value">
                    <span class="legend-name">{reading()[0]}</span> {reading()[1]}
                  </span>
                )}
              </Index>
            </button>
          </li>
        )}
      </For>
      <Show when={props.model.reference}>
        {(reference) => (
          <li class="legend-entry">
            <span class="swatch swatch-reference" />
            <span class="legend-name">{reference().name}</span>
          </li>
        )}
      </Show>
      <Show when={props.model.leftOut > 0}>
        <li class="legend-entry legend-left-out">{props.model.leftOut} more not drawn</li>
      </Show>
    </ul>
  );
}

/** The newest values of a chart in words, for whoever cannot see it. */
export function summarizeModel(title: string, look: Look, model: Model): string {
  const values = listGroups(model.lines).map((group) =>
    [group, ...readGroup(look, model, group, model.toMs).flat()].filter((text) => text !== '').join(' '),
  );
  const rest = model.leftOut === 0 ? [] : [`${model.leftOut} more not drawn`];
  return `${title}: ${[...values, ...rest].join(', ')}`;
}

function listGroups(lines: readonly Line[]): string[] {
  return [...new Set(lines.map((line) => line.group))];
}

function findGroup(model: Model, group: string): readonly Line[] {
  return model.lines.filter((line) => line.group === group);
}

function readGroup(
  look: Look,
  model: Model,
  group: string,
  atMs: number,
): readonly (readonly [side: string, value: string])[] {
  return findGroup(model, group).map((line) => [
    line.side,
    formatQuantity(look.quantity, valueAt(line, atMs, model.holdMs)),
  ]);
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}
