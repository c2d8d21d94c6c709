import { A } from '@solidjs/router';
import { createSignal, type JSX, Show } from 'solid-js';

import type { Fault } from './api.ts';
import { useApp } from './app-context.ts';
import { ConnectionPill } from './connection-pill.tsx';
import { THEMES, type Theme } from './theme.ts';

const THEME_TITLES: Readonly<Record<Theme, string>> = { auto: 'Auto', light: 'Light', dark: 'Dark' };

/** What stands above every page: the way home, the connection, the colours, the way out. */
export function PageHeader(props: { readonly onSignOut: () => Promise<Fault | null> }): JSX.Element {
  const { theme } = useApp();
  const [fault, setFault] = createSignal<Fault | null>(null);
  const signOut = async (): Promise<void> => {
    setFault(null);
    setFault(await props.onSignOut());
  };
  const next = (): Theme => THEMES[(THEMES.indexOf(theme.theme()) + 1) % THEMES.length] ?? 'auto';
  return (
    <header class="page-header">
      <A class="brand" href="/">
        <img class="logo" src="/favicon.svg" alt="" width="20" height="20" />
        Muster
      </A>
      <ConnectionPill />
      <button
        type="button"
        class="button button-quiet"
        data-testid="theme"
        data-theme-choice={theme.theme()}
        title={`Colours: ${theme.theme()}. Press for ${next()}.`}
        onClick={() => theme.choose(next())}
      >
        <span class="theme-mark" aria-hidden="true" />
        {THEME_TITLES[theme.theme()]}
      </button>
      <button type="button" class="button button-quiet" data-testid="sign-out" onClick={() => void signOut()}>
        Sign out
      </button>
      <Show when={fault()}>
        {(shown) => (
          <span class="fault" role="alert">
            Not signed out: {shown().message}
          </span>
        )}
      </Show>
    </header>
  );
}
