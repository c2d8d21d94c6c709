import { A, Route, Router } from '@solidjs/router';
import { type JSX, lazy, type ParentProps, Suspense } from 'solid-js';

import { FleetPage } from './overview/fleet-page.tsx';
import { PageHeader } from './page-header.tsx';
import { createTitle } from './title.ts';
import { Notice } from './ui/notice.tsx';

// The charts are most of the program, and the fleet does not need them.
const HostPage = lazy(async () => ({ default: (await import('./servers/host-page.tsx')).HostPage }));

/** The pages of a signed-in session, by address. */
export function Routes(props: Parameters<typeof PageHeader>[0]): JSX.Element {
  const Layout = (layout: ParentProps): JSX.Element => (
    <>
      <PageHeader onSignOut={props.onSignOut} />
      <Suspense>{layout.children}</Suspense>
    </>
  );
  return (
    <Router root={Layout} scrollRestoration>
      <Route path="/" component={FleetPage} />
      <Route path="/hosts/:host" component={HostPage} />
      <Route path="*" component={UnknownPage} />
    </Router>
  );
}

function UnknownPage(): JSX.Element {
  createTitle(() => 'No such page');
  return (
    <main class="page">
      <Notice title="There is no such page">
        <p>
          <A href="/">Go to the fleet</A>
        </p>
      </Notice>
    </main>
  );
}
