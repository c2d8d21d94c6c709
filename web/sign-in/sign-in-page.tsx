import { createSignal, type JSX, Show } from 'solid-js';

import { parseKey } from '../session.ts';

/** Asks for the key that the collector printed. `fault` is why the last one was refused, or ''. */
export function SignInPage(props: {
  readonly fault: string;
  readonly onSignIn: (key: string) => Promise<void>;
}): JSX.Element {
  const [key, setKey] = createSignal('');
  const [busy, setBusy] = createSignal(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    await props.onSignIn(parseKey(key()));
    setBusy(false);
  };
  return (
    <main class="sign-in">
      <form class="card sign-in-form" data-testid="sign-in" onSubmit={(event) => void submit(event)}>
        <h1>
          <img class="logo" src="/favicon.svg" alt="" width="28" height="28" />
          Muster
        </h1>
        <label for="key">Open the link that the collector printed at start, or paste its key.</label>
        <input
          id="key"
          class="field"
          type="password"
          autocomplete="current-password"
          required
          autofocus
          aria-describedby="sign-in-fault"
          value={key()}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        <p id="sign-in-fault" class="fault" role="alert">
          <Show when={props.fault !== ''}>{props.fault}</Show>
        </p>
        <button type="submit" class="button button-primary" disabled={busy()}>
          {busy() ? 'Signing in…' : 'Sign in'}
        </button>
      </form>
    </main>
  );
}
