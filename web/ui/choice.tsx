import { For, type JSX } from 'solid-js';

export type ChoiceOption<Key extends string> = { readonly key: Key; readonly title: string };

/** One of a few, all in sight. `data` gives each button an attribute by which tests find it. */
export function Choice<Key extends string>(props: {
  readonly label: string;
  readonly options: readonly ChoiceOption<Key>[];
  readonly chosen: Key;
  readonly testId: string;
  readonly data: (key: Key) => Readonly<Record<`data-${string}`, string>>;
  readonly onChoose: (key: Key) => void;
}): JSX.Element {
  return (
    <div class="choice" role="group" aria-label={props.label}>
      <For each={props.options}>
        {(option) => (
          <button
            type="button"
            class="choice-button"
            aria-pressed={option.key === props.chosen}
            data-testid={props.testId}
            {...props.data(option.key)}
            onClick={() => props.onChoose(option.key)}
          >
            {option.title}
          </button>
        )}
      </For>
    </div>
  );
}
