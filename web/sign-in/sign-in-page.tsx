import { createSignal, type JSX } from 'solid-js';

import { parseKey } from '../session.ts';
import { createTitle } from '../title.ts';

/** Asks for the access key. `fault` is why the last one was refused, or ''. */
export function SignInPage(props: {
  readonly fault: string;
  readonly onSignIn: (key: string) => Promise<void>;
}): JSX.Element {
  createTitle(() => 'Sign in');
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
        <label for="key">
          Open the link that npm start printed, or paste the access key: it is in the file access-key of the collector's
          data directory.
        </label>
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
          {props.fault}
        </p>
        <button type="submit" class="button button-primary" disabled={busy()}>
          {busy() ? 'Signing in…' : 'Sign in'}
        </button>
      </form>
    </main>
  );
}
