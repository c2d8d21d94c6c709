import type { HostRow } from '@muster/proto/api';
import type { Inventory } from '@muster/proto/batch';
import type { Labels } from '@muster/proto/labels';
import { A } from '@solidjs/router';
import { Index, type JSX, Show } from 'solid-js';

import { useApp } from '../app-context.ts';
import { ClockMark } from '../clock-mark.tsx';
import { formatAge, formatBytes, formatCount, formatDuration, formatInstant, UNKNOWN } from '../format.ts';
import { StatusMark } from '../status-mark.tsx';
import { Choice } from '../ui/choice.tsx';
import { type Range, RANGES } from './range.ts';

type RangeKey = Range['key'];

/** Which host this is, how it is, what it is, and how much of its past is shown. */
export function HostHeader(props: {
  readonly row: HostRow;
  readonly inventory: Inventory | null;
  readonly range: Range;
  readonly onRange: (key: RangeKey) => void;
}): JSX.Element {
  const { live, clock } = useApp();
  const seen = (): string =>
    props.row.arrivedMs === null
      ? 'nothing arrived yet'
      : `last seen ${formatAge(clock.nowMs() - props.row.arrivedMs)}`;
  return (
    <header class="host-header">
      <nav class="crumbs" aria-label="Breadcrumb">
        <A href="/">Fleet</A>
      </nav>
      <div class="host-title">
        <h1>
          <bdi>{props.row.name}</bdi>
        </h1>
        <StatusMark status={live.state() === 'lost' ? 'stale' : props.row.status} />
        <ClockMark offsetMs={props.row.clockOffsetMs} />
        <span class="hint" title={formatInstant(props.row.arrivedMs)}>
          {seen()}
        </span>
      </div>
      <Show when={props.row.status === 'quarantined'}>
        <p class="fault advice">
          Two machines send with the token of this host, so nothing of either is taken. One is a copy: give it an
          /etc/machine-id of its own and remove identity.json and the spool from the state directory of its agent. On
          the other remove identity.json only. Then enrol both with new enrolment tokens; this history is kept.
        </p>
      </Show>
      <Show when={props.row.status === 'revoked'}>
        <p class="hint advice">
          Its token was revoked, so nothing of it is taken; what came before is kept. To let it join again, remove
          identity.json from the state directory of its agent and start it with a new enrolment token.
        </p>
      </Show>
      <dl class="facts" data-testid="inventory">
        {/* By place: the elements stay while values in them change, and with them what somebody selected. */}
        <Index each={listFacts(props.row, props.inventory)}>
          {(fact) => (
            <div class="fact">
              <dt>{fact()[0]}</dt>
              <dd title={fact()[1]}>{fact()[1]}</dd>
            </div>
          )}
        </Index>
      </dl>
      <div class="range-bar">
        <Choice<RangeKey>
          label="Range"
          options={RANGES}
          chosen={props.range.key}
          testId="range"
          data={(key) => ({ 'data-range': key })}
          onChoose={props.onRange}
        />
      </div>
    </header>
  );
}

function listFacts(row: HostRow, inventory: Inventory | null): (readonly [name: string, value: string])[] {
  const cores = inventory?.cores ?? row.cores;
  const labels = inventory?.labels;
  return [
    ['System', inventory?.os ?? UNKNOWN],
    ['Kernel', joinKnown(inventory?.kernel, inventory?.arch)],
    ['Processor', inventory?.cpuModel ?? UNKNOWN],
    ['Cores', formatCount(cores)],
    ['Memory', formatBytes(inventory?.memoryBytes ?? row.memoryBytes)],
    ['Machine', joinKnown(inventory?.vendor, inventory?.model, inventory?.virtualization)],
    ['Agent', inventory?.agentVersion ?? UNKNOWN],
    ['Uptime', formatDuration(row.uptimeSeconds === null ? null : row.uptimeSeconds * 1000)],
    ...(labels === undefined ? [] : [['Labels', formatHostLabels(labels)] as const]),
  ];
}

function formatHostLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}=${text}`);
  return pairs.toSorted().join(' · ');
}

function joinKnown(...texts: readonly (string | undefined)[]): string {
  const known = texts.filter((text) => text !== undefined && text !== '');
  return known.length === 0 ? UNKNOWN : known.join(' · ');
}
