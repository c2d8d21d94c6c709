import type { LatestValue } from '@muster/proto/api';
import { createMemo, type JSX, Show } from 'solid-js';

import { formatBytes, formatCount, formatNumber } from '../format.ts';
import { type Container, describeState, isTroubled, listContainers } from './containers.ts';
import { FactTable, NameCell } from './fact-table.tsx';
import { StateMark, type Tone } from './state-mark.tsx';

/** Those in trouble come first; the search finds the others. */
const CONTAINERS_MAX = 100;
const SEARCH = {
  hint: 'Name or image',
  textOf: (one: Container) => [one.name, one.image, describeState(one).word].join(' '),
} as const;

const COLUMNS = [
  { title: 'Container' },
  { title: 'State' },
  { title: 'CPU cores', isNumber: true },
  { title: 'Memory', isNumber: true },
  { title: 'Restarts', isNumber: true },
] as const;

/** The containers of the host. */
export function ContainerTable(props: {
  readonly latest: ReadonlyMap<string, LatestValue>;
  readonly atMs: number;
}): JSX.Element {
  const all = createMemo(() => listContainers(props.latest.values(), props.atMs));
  return (
    <FactTable name="containers" title="Containers" columns={COLUMNS} rows={all()} max={CONTAINERS_MAX} search={SEARCH}>
      {(container) => <Row container={container()} />}
    </FactTable>
  );
}

function Row(props: { readonly container: Container }): JSX.Element {
  return (
    <tr>
      <NameCell name={props.container.name} hint={props.container.image} />
      <td class="fact-state">
        <StateMark tone={toneOf(props.container)} word={describeState(props.container).word} />
        <Show when={describeState(props.container).hint !== ''}>
          <bdi class="hint">{describeState(props.container).hint}</bdi>
        </Show>
      </td>
      <td class="number">{formatNumber(props.container.cores)}</td>
      <td class="number">
        {formatBytes(props.container.memoryBytes)}
        <Show when={props.container.memoryLimitBytes !== null}>
          <span class="fact-limit hint">of {formatBytes(props.container.memoryLimitBytes)}</span>
        </Show>
      </td>
      <td class="number">{formatCount(props.container.restarts)}</td>
    </tr>
  );
}

function toneOf(container: Container): Tone {
  if (isTroubled(container)) return 'bad';
  return container.state === 'running' ? 'good' : 'unknown';
}
