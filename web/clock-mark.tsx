import { CLOCK_OFFSET_MS_MAX } from '@muster/proto/api';
import { type JSX, Show } from 'solid-js';

import { formatDuration } from './format.ts';

/** Says that a host's clock is wrong, and by how much; nothing when it is right or not known. */
export function ClockMark(props: { readonly offsetMs: number | null }): JSX.Element {
  const text = (): string => describeClock(props.offsetMs);
  return (
    <Show when={text() !== ''}>
      <span class="clock-mark" data-testid="clock" title="Against the clock of the collector, as its newest batch came">
        {text()}
      </span>
    </Show>
  );
}

/** `clock 2 h 0 min ahead`; empty for a clock that is right, or that nobody knows. */
function describeClock(offsetMs: number | null): string {
  if (offsetMs === null || Math.abs(offsetMs) <= CLOCK_OFFSET_MS_MAX) return '';
  return `clock ${formatDuration(Math.round(Math.abs(offsetMs) / 1000) * 1000)} ${offsetMs > 0 ? 'ahead' : 'behind'}`;
}
