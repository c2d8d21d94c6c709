import { A } from '@solidjs/router';
import type { HostRow } from '@muster/proto/api';
import { type JSX, Show } from 'solid-js';

import { useApp } from '../app-context.ts';
import { ClockMark } from '../clock-mark.tsx';
import {
  formatAge,
  formatByteRate,
  formatBytes,
  formatCount,
  formatDuration,
  formatInstant,
  formatNumber,
  formatRatio,
} from '../format.ts';
import { StatusMark } from '../status-mark.tsx';
import { Bar } from '../ui/bar.tsx';
import { rateSeverity, THRESHOLDS } from '../severity.ts';
import { type FleetColumn, titleOf } from './fleet-columns.ts';

/** One host of the fleet. Reads its row field by field, so that a patch touches only the cells that changed. */
export function FleetRow(props: { readonly row: HostRow }): JSX.Element {
  const { live, clock } = useApp();
  const uptimeMs = (): number | null => (props.row.uptimeSeconds === null ? null : props.row.uptimeSeconds * 1000);
  const ageMs = (): number | null => (props.row.arrivedMs === null ? null : clock.nowMs() - props.row.arrivedMs);
  return (
    <div
      class="fleet-row"
      role="row"
      data-testid="host-row"
      data-host={props.row.host}
      data-status={props.row.status}
      onClick={followLink}
    >
      <Cell name="status">
        <StatusMark status={live.state() === 'lost' ? 'stale' : props.row.status} />
      </Cell>
      <Cell name="name">
        <A class="fleet-link" href={`/hosts/${props.row.host}`} title={props.row.name}>
          <bdi>{props.row.name}</bdi>
        </A>
        <ClockMark offsetMs={props.row.clockOffsetMs} />
      </Cell>
      <RatioCell name="cpu" ratio={props.row.cpuRatio} hint="" />
      <RatioCell name="memory" ratio={props.row.memoryRatio} hint={sizeHint(props.row.memoryBytes)} />
      <RatioCell name="disk" ratio={props.row.diskRatio} hint={props.row.diskMountpoint ?? ''} />
      <Cell name="receive">{formatByteRate(props.row.receiveBytesPerSecond)}</Cell>
      <Cell name="transmit">{formatByteRate(props.row.transmitBytesPerSecond)}</Cell>
      <Cell name="load">
        {formatNumber(props.row.load1)}
        <Show when={props.row.cores !== null}>
          <span class="hint" title={`${formatCount(props.row.cores)} cores`}>
            {' / '}
            {formatCount(props.row.cores)}
          </span>
        </Show>
      </Cell>
      <Cell name="uptime">{formatDuration(uptimeMs())}</Cell>
      <Cell name="seen">
        <span title={formatInstant(props.row.arrivedMs)}>{formatAge(ageMs())}</span>
      </Cell>
    </div>
  );
}

/** What has a title lies above the link that covers the row, so that it can be hovered; a press on it means the link. */
function followLink(event: MouseEvent & { readonly currentTarget: Element }): void {
  const link = event.currentTarget.querySelector('a');
  if (event.target instanceof Node && link?.contains(event.target) === false)
    link.dispatchEvent(new MouseEvent('click', event));
}

function Cell(props: { readonly name: FleetColumn['key']; readonly children: JSX.Element }): JSX.Element {
  return (
    <div class={`fleet-cell cell-${props.name}`} role="cell" data-testid={props.name} data-label={titleOf(props.name)}>
      {props.children}
    </div>
  );
}

function RatioCell(props: {
  readonly name: keyof typeof THRESHOLDS;
  readonly ratio: number | null;
  readonly hint: string;
}): JSX.Element {
  return (
    <Cell name={props.name}>
      <span class="ratio">{formatRatio(props.ratio)}</span>
      <Bar ratio={props.ratio} severity={rateSeverity(props.ratio, THRESHOLDS[props.name])} />
      <span class="hint ratio-hint" title={props.hint}>
        {props.hint}
      </span>
    </Cell>
  );
}

function sizeHint(bytes: number | null): string {
  return bytes === null ? '' : formatBytes(bytes);
}
