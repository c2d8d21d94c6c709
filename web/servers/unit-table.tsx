import type { LatestValue } from '@muster/proto/api';
import { createMemo, Index, type JSX, Show } from 'solid-js';

import { formatNumber, UNKNOWN } from '../format.ts';
import { FactTable, NameCell } from './fact-table.tsx';
import { StateMark } from './state-mark.tsx';
import { readUnits } from './units.ts';

/** Of more failed units than this the first ones tell enough. */
const UNITS_MAX = 50;

const COLUMNS = [{ title: 'Unit' }, { title: 'State' }, { title: 'Restarts a minute', isNumber: true }] as const;

/** How the units of systemd are, and which of them are in trouble. */
export function UnitTable(props: {
  readonly latest: ReadonlyMap<string, LatestValue>;
  readonly atMs: number;
}): JSX.Element {
  const units = createMemo(() => readUnits(props.latest.values(), props.atMs));
  return (
    <Show when={units().summary !== ''}>
      <FactTable
        title="Units of systemd"
        note={units().summary}
        testId="units"
        columns={COLUMNS}
        count={units().troubled.length}
        shown={UNITS_MAX}
      >
        <Index each={units().troubled.slice(0, UNITS_MAX)}>
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
        </Index>
      </FactTable>
    </Show>
  );
}

function formatPerMinute(perSecond: number | null): string {
  return perSecond === 0 ? '0' : formatNumber(perSecond === null ? null : perSecond * 60);
}
