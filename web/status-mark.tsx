import type { HostStatus } from '@muster/proto/api';
import type { JSX } from 'solid-js';

/** `stale`: the connection is lost, and what the host's status is now nobody here knows. */
export type ShownStatus = HostStatus | 'stale';

/** A dot and a word; the shape of the dot differs too, so that its colour is never alone. */
export function StatusMark(props: { readonly status: ShownStatus }): JSX.Element {
  return (
    <span class="status" data-status={props.status}>
      <span class="status-dot" aria-hidden="true" />
      {props.status}
    </span>
  );
}
