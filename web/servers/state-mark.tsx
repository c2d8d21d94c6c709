import type { JSX } from 'solid-js';

/** `unknown` is also for what is neither good nor bad. */
export type Tone = 'good' | 'bad' | 'unknown';

/** A dot and a word, as of a host: the shape of the dot says what its colour does. */
export function StateMark(props: { readonly tone: Tone; readonly word: string }): JSX.Element {
  return (
    <span class="status state" data-tone={props.tone}>
      <span class="status-dot" aria-hidden="true" />
      <bdi>{props.word}</bdi>
    </span>
  );
}
