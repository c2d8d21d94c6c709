import { createContext, useContext } from 'solid-js';

import type { Api } from './api.ts';
import type { Clock } from './clock.ts';
import type { Fleet } from './fleet.ts';
import type { Live } from './live.ts';
import type { ThemeChoice } from './theme.ts';

/** What every page of a signed-in session works with. */
export type App = {
  readonly api: Api;
  readonly clock: Clock;
  readonly live: Live;
  readonly fleet: Fleet;
  readonly theme: ThemeChoice;
};

export const AppContext = createContext<App>();

export function useApp(): App {
  const app = useContext(AppContext);
  if (app === undefined) throw new Error('Cannot use the app outside AppContext.Provider');
  return app;
}
