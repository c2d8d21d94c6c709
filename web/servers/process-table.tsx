import type { LatestValue } from '@muster/proto/api';
import { createMemo, type JSX } from 'solid-js';

import { formatByteRate, formatBytes, formatNumber, UNKNOWN } from '../format.ts';
import { FactTable, NameCell } from './fact-table.tsx';
import { listProcesses, type ProcessGroup } from './processes.ts';

/** An agent tells ten of each kind of use. */
const PROCESSES_MAX = 30;
const SEARCH = {
  hint: 'Name, owner or place',
  textOf: ({ name, owner, place, commandLine }: ProcessGroup) => [name, owner, place, commandLine].join(' '),
} as const;

const COLUMNS = [
  { title: 'Process' },
  { title: 'Owner' },
  { title: 'CPU cores', isNumber: true },
  { title: 'Memory', isNumber: true },
  { title: 'Disk I/O', isNumber: true },
] as const;

/** Who uses the most CPU, memory and disk I/O. */
export function ProcessTable(props: {
  readonly latest: ReadonlyMap<string, LatestValue>;
  readonly atMs: number;
}): JSX.Element {
  const all = createMemo(() => listProcesses(props.latest, props.atMs));
  return (
    <FactTable
      name="processes"
      title="Processes"
      note="those that use the most, – where others use more"
      columns={COLUMNS}
      rows={all()}
      max={PROCESSES_MAX}
      search={SEARCH}
    >
      {(group) => (
        <tr>
          <NameCell
            name={group().name}
            hint={[group().place, group().commandLine].filter((text) => text !== '').join(' · ')}
          />
          <td class="fact-word">
            <bdi>{group().owner === '' ? UNKNOWN : group().owner}</bdi>
          </td>
          <td class="number">{formatNumber(group().cores)}</td>
          <td class="number">{formatBytes(group().memoryBytes)}</td>
          <td class="number">{formatByteRate(group().diskBytesPerSecond)}</td>
        </tr>
      )}
    </FactTable>
  );
}
