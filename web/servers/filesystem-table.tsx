import type { LatestValue } from '@muster/proto/api';
import { createMemo, type JSX } from 'solid-js';

import { formatBytes, formatRatio } from '../format.ts';
import { rateSeverity, THRESHOLDS } from '../severity.ts';
import { Bar } from '../ui/bar.tsx';
import { FactTable } from './fact-table.tsx';
import { type Filesystem, listFilesystems } from './filesystems.ts';

/** More than a screen of mounts is a container host's overlay list; the fullest are what matters. */
const FILESYSTEMS_MAX = 20;
const SEARCH = {
  hint: 'Mount point or device',
  textOf: ({ mountpoint, device, type }: Filesystem) => [mountpoint, device, type].join(' '),
} as const;

const COLUMNS = [
  { title: 'Mount point' },
  { title: 'Used' },
  { title: 'Size', isNumber: true },
  { title: 'Free', isNumber: true },
  { title: 'Inodes', isNumber: true },
] as const;

export function FilesystemTable(props: { readonly latest: ReadonlyMap<string, LatestValue> }): JSX.Element {
  const all = createMemo(() => listFilesystems(props.latest.values()));
  return (
    <FactTable
      name="filesystems"
      title="Space now"
      columns={COLUMNS}
      rows={all()}
      max={FILESYSTEMS_MAX}
      search={SEARCH}
    >
      {(filesystem) => <Row filesystem={filesystem()} />}
    </FactTable>
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
