import type { Route } from '../app.ts';
import { refuse } from '../auth.ts';

/** For whoever supervises the process. `fault` says why the collector cannot do its work, or null. */
export function makeHealthRoutes(fault: () => string | null): readonly Route[] {
  return [
    { method: 'GET', path: '/healthz', role: 'anyone', handle: (context) => context.json({ status: 'alive' }) },
    {
      method: 'GET',
      path: '/readyz',
      role: 'anyone',
      handle(context) {
        const reason = fault();
        return reason === null ? context.json({ status: 'ready' }) : refuse(context, 503, 'not-ready', reason);
      },
    },
  ];
}
