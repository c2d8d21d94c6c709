import { createMemo, type JSX, Show } from 'solid-js';

import { useApp } from './app-context.ts';
import { formatElapsed } from './format.ts';

/** How the page stands with its collector. */
export function ConnectionPill(): JSX.Element {
  const { live, clock } = useApp();
  const text = createMemo(() => {
    if (live.state() === 'live') return 'Live';
    if (live.state() === 'connecting') return 'Connecting…';
    return live.heardMs() === null ? 'The collector does not answer, retrying' : 'Connection lost';
  });
  const age = (): string => {
    clock.nowMs(); // moves the age once a second
    return formatElapsed(Date.now() - (live.heardMs() ?? 0));
  };
  return (
    <span class="connection" data-testid="connection" data-state={live.state()}>
      <span class="connection-dot" aria-hidden="true" />
      {/* Only the state is announced; a reader is not told every second. */}
      <span role="status">{text()}</span>
      <Show when={live.state() === 'lost' && live.heardMs() !== null}>
        <span>, last update {age()}, retrying</span>
      </Show>
    </span>
  );
}
