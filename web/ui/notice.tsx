import { type JSX, Show } from 'solid-js';

/** Stands where content will be, is not, or cannot be. */
export function Notice(props: {
  readonly title: string;
  readonly children?: JSX.Element;
  readonly onRetry?: () => void;
}): JSX.Element {
  return (
    <div class="notice" role="status">
      <p class="notice-title">{props.title}</p>
      {props.children}
      <Show when={props.onRetry}>
        {(retry) => (
          <button type="button" class="button" onClick={() => retry()()}>
            Try again
          </button>
        )}
      </Show>
    </div>
  );
}
