import type { LatestValue } from '@muster/proto/api';
import { createMemo, type JSX } from 'solid-js';

import { formatNumber, UNKNOWN } from '../format.ts';
import { FactTable, NameCell } from './fact-table.tsx';
import { StateMark } from './state-mark.tsx';
import { readUnits, type Unit } from './units.ts';

/** Of more failed units than this the first ones tell enough. */
const UNITS_MAX = 50;
const SEARCH = { hint: 'Name', textOf: ({ name }: Unit) => name } as const;

const COLUMNS = [{ title: 'Unit' }, { title: 'State' }, { title: 'Restarts a minute', isNumber: true }] as const;

/** How the units of systemd are, and which of them are in trouble. */
export function UnitTable(props: {
  readonly latest: ReadonlyMap<string, LatestValue>;
  readonly atMs: number;
}): JSX.Element {
  const units = createMemo(() => readUnits(props.latest.values(), props.atMs));
  return (
    <FactTable
      name="units"
      title="Units of systemd"
      note={units().summary}
      columns={COLUMNS}
      rows={units().troubled}
      max={UNITS_MAX}
      search={SEARCH}
      isThere={units().summary !== ''}
    >
      {(unit) => (
        <tr>
          <NameCell name={unit().name} hint="" />
          <td class="fact-state">
            <StateMark
              tone={unit().state === 'failed' ? 'bad' : 'unknown'}
              word={unit().state === '' ? UNKNOWN : unit().state}
            />
          </td>
          <td class="number">{formatPerMinute(unit().restartsPerSecond)}</td>
        </tr>
      )}
    </FactTable>
  );
}

function formatPerMinute(perSecond: number | null): string {
  return perSecond === 0 ? '0' : formatNumber(perSecond === null ? null : perSecond * 60);
}
