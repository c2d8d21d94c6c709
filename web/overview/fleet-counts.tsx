import type { HostStatus } from '@muster/proto/api';
import { createMemo, For, type JSX } from 'solid-js';

import { useApp } from '../app-context.ts';
import { formatCount } from '../format.ts';

const STATUSES: readonly HostStatus[] = ['up', 'quarantined', 'silent', 'revoked', 'new'];

/** `3 hosts: 2 up, 1 silent` */
export function FleetCounts(): JSX.Element {
  const { fleet } = useApp();
  const counts = createMemo(() => {
    const statuses = fleet.hosts().map((host) => fleet.rows[host]?.status);
    return STATUSES.map((status) => ({ status, count: statuses.filter((other) => other === status).length }));
  });
  return (
    <p class="fleet-counts" data-testid="counts">
      <strong>{formatCount(fleet.hosts().length)}</strong> {fleet.hosts().length === 1 ? 'host' : 'hosts'}
      <For each={counts().filter(({ count, status }) => count > 0 || status === 'up')}>
        {({ status, count }) => (
          <span>
            , {formatCount(count)} {status}
          </span>
        )}
      </For>
    </p>
  );
}
