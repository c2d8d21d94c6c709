import { A } from '@solidjs/router';
import type { JSX } from 'solid-js';

import { useApp } from './app-context.ts';
import { ConnectionPill } from './connection-pill.tsx';
import { THEMES, type Theme } from './theme.ts';

const THEME_TITLES: Readonly<Record<Theme, string>> = { auto: 'Auto', light: 'Light', dark: 'Dark' };

/** What stands above every page: the way home, the connection, the colours, the way out. */
export function PageHeader(props: { readonly onSignOut: () => void }): JSX.Element {
  const { theme } = useApp();
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
      <button type="button" class="button button-quiet" data-testid="sign-out" onClick={() => props.onSignOut()}>
        Sign out
      </button>
    </header>
  );
}
