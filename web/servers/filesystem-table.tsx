import type { LatestValue } from '@muster/proto/api';
import { createMemo, Index, type JSX, Show } from 'solid-js';

import { formatBytes, formatRatio } from '../format.ts';
import { rateSeverity, THRESHOLDS } from '../severity.ts';
import { Bar } from '../ui/bar.tsx';
import { type Filesystem, listFilesystems } from './filesystems.ts';

/** More than a screen of mounts is a container host's overlay list; the fullest are what matters. */
const FILESYSTEMS_MAX = 20;

export function FilesystemTable(props: { readonly latest: ReadonlyMap<string, LatestValue> }): JSX.Element {
  const all = createMemo(() => listFilesystems(props.latest.values()));
  return (
    <Show when={all().length > 0}>
      <section class="card filesystems" data-testid="filesystems">
        <h2>Space now</h2>
        <div class="scroller" tabindex="0" role="region" aria-label="Filesystems">
          <table>
            <thead>
              <tr>
                <th scope="col">Mount point</th>
                <th scope="col">Used</th>
                <th scope="col" class="number">
                  Size
                </th>
                <th scope="col" class="number">
                  Free
                </th>
                <th scope="col" class="number">
                  Inodes
                </th>
              </tr>
            </thead>
            <tbody>
              <Index each={all().slice(0, FILESYSTEMS_MAX)}>{(filesystem) => <Row filesystem={filesystem()} />}</Index>
            </tbody>
          </table>
        </div>
        <Show when={all().length > FILESYSTEMS_MAX}>
          <p class="hint">{all().length - FILESYSTEMS_MAX} more not shown</p>
        </Show>
      </section>
    </Show>
  );
}

function Row(props: { readonly filesystem: Filesystem }): JSX.Element {
  return (
    <tr>
      <td class="mountpoint">
        <span title={props.filesystem.mountpoint}>{props.filesystem.mountpoint}</span>
        <span class="hint">
          {props.filesystem.device} {props.filesystem.type}
        </span>
      </td>
      <td class="used">
        <span class="ratio">{formatRatio(props.filesystem.usedRatio)}</span>
        <Bar ratio={props.filesystem.usedRatio} severity={rateSeverity(props.filesystem.usedRatio, THRESHOLDS.disk)} />
      </td>
      <td class="number">{formatBytes(props.filesystem.sizeBytes)}</td>
      <td class="number">{formatBytes(props.filesystem.freeBytes)}</td>
      <td class="number">{formatRatio(props.filesystem.inodesRatio)}</td>
    </tr>
  );
}
