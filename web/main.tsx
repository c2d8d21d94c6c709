import './style/theme.css';
import './style/page.css';
import './style/ui.css';
import './overview/overview.css';
import './chart/chart.css';
import './servers/servers.css';
import './servers/tables.css';
import './sign-in/sign-in.css';

import { type JSX, Match, onMount, Switch } from 'solid-js';
import { render } from 'solid-js/web';

import { AppContext } from './app-context.ts';
import { createClock } from './clock.ts';
import { createFleet } from './fleet.ts';
import { createLive } from './live.ts';
import { Routes } from './routes.tsx';
import { createSession, type Session } from './session.ts';
import { SignInPage } from './sign-in/sign-in-page.tsx';
import { createTheme, type ThemeChoice } from './theme.ts';
import { Notice } from './ui/notice.tsx';

/** Decides what there is to see: the fleet for whoever is signed in, the way in for everyone else. */
function Main(): JSX.Element {
  const theme = createTheme();
  const session = createSession();
  onMount(() => void session.check());
  const refusal = (): { readonly message: string } | null => {
    const state = session.state();
    return state.kind === 'signed-out' || state.kind === 'unreachable' ? state : null;
  };
  return (
    <Switch>
      <Match when={session.state().kind === 'signed-in'}>
        <SignedIn session={session} theme={theme} />
      </Match>
      <Match when={session.state().kind === 'signed-out'}>
        <SignInPage fault={refusal()?.message ?? ''} onSignIn={session.signIn} />
      </Match>
      <Match when={session.state().kind === 'unreachable'}>
        <Notice title="The collector cannot be reached" onRetry={() => void session.check()}>
          <p>{refusal()?.message}</p>
        </Notice>
      </Match>
    </Switch>
  );
}

/** Opens everything that a session needs, and closes it when the session ends. */
function SignedIn(props: { readonly session: Session; readonly theme: ThemeChoice }): JSX.Element {
  const { api, signOut } = props.session;
  const clock = createClock();
  const live = createLive(api, clock);
  const fleet = createFleet(api, live);
  return (
    <AppContext.Provider value={{ api, clock, live, fleet, theme: props.theme }}>
      <Routes onSignOut={signOut} />
    </AppContext.Provider>
  );
}

/** A path that is no text, `/hosts/%ff`, would stop the router; nothing of ours is there. */
function leaveBrokenPath(): void {
  try {
    decodeURIComponent(window.location.pathname);
  } catch {
    window.history.replaceState(null, '', '/');
  }
}

const root = document.querySelector('#root');
if (root === null) throw new Error('Cannot start the dashboard: index.html has no #root');
leaveBrokenPath();
render(() => <Main />, root);
