import { A, useParams, useSearchParams } from '@solidjs/router';
import { createMemo, createSignal, For, type JSX, Match, Show, Switch } from 'solid-js';

import { useApp } from '../app-context.ts';
import { createTitle } from '../title.ts';
import { Notice } from '../ui/notice.tsx';
import { CHART_SPECS, type ChartSpec } from './chart-specs.ts';
import { CheckTable } from './check-table.tsx';
import { ContainerTable } from './container-table.tsx';
import { EventTable } from './event-table.tsx';
import { FilesystemTable } from './filesystem-table.tsx';
import { CustomTable } from './custom-table.tsx';
import { DataLine } from './data-line.tsx';
import { createHistory, type History } from './history.ts';
import { createHost, type Host } from './host.ts';
import { HostChart } from './host-chart.tsx';
import { HostHeader } from './host-header.tsx';
import { ProcessTable } from './process-table.tsx';
import { parseRange, type Range } from './range.ts';
import { UnitTable } from './unit-table.tsx';

/** One host: what it is, how it is, and how it came to be so. */
export function HostPage(): JSX.Element {
  const params = useParams();
  return (
    <Show when={params['host']} keyed>
      {(host) => <KeyedHostPage host={host} />}
    </Show>
  );
}

function KeyedHostPage(props: { readonly host: string }): JSX.Element {
  const app = useApp();
  const [search, setSearch] = useSearchParams();
  const range = createMemo(() => parseRange(search['range']));
  // The page is made anew for another host.
  const id = props.host;
  const history = createHistory(app, id, range);
  const host = createHost(app, id, history.append);
  createTitle(() => host.row()?.name ?? id);
  const fault = (): string => {
    const state = host.state();
    return state.kind === 'failed' ? state.message : '';
  };
  return (
    <main class="page" data-stale={app.live.state() === 'lost'}>
      <Switch fallback={<p class="loading">Loading the host…</p>}>
        <Match when={host.state().kind === 'missing'}>
          <Notice title={`There is no host ${id}`}>
            <p>
              <A href="/">Go to the fleet</A>
            </p>
          </Notice>
        </Match>
        <Match when={host.state().kind === 'failed'}>
          <Notice title="The host could not be read" onRetry={() => void host.load()}>
            <p>{fault()}</p>
          </Notice>
        </Match>
        <Match when={host.row()}>
          {(row) => (
            <>
              <HostHeader
                row={row()}
                inventory={host.inventory()}
                range={range()}
                onRange={(key) => setSearch({ range: key }, { replace: true })}
              />
              <Show
                when={row().status !== 'new'}
                fallback={
                  <Notice title="Nothing arrived from this host yet">
                    <p>Its charts appear with its first samples.</p>
                  </Notice>
                }
              >
                <DataLine host={id} />
                <HostCharts id={id} host={host} history={history} range={range()} />
              </Show>
            </>
          )}
        </Match>
      </Switch>
    </main>
  );
}

function HostCharts(props: {
  readonly id: string;
  readonly host: Host;
  readonly history: History;
  readonly range: Range;
}): JSX.Element {
  const [hoverMs, setHoverMs] = createSignal<number | null>(null);
  // The newest tick of the host; of one that is not heard, nothing is known of now.
  const atMs = createMemo(() => {
    const row = props.host.row();
    return row?.status === 'up' ? (row.lastMs ?? Infinity) : Infinity;
  });
  const draw = (spec: ChartSpec): JSX.Element => (
    <HostChart
      spec={spec}
      history={props.history}
      range={props.range}
      row={props.host.row()}
      hoverMs={hoverMs}
      onHover={setHoverMs}
    />
  );
  return (
    <div class="charts">
      <For each={CHART_SPECS}>{draw}</For>
      <CheckTable latest={props.host.latest()} atMs={atMs()} />
      <ContainerTable latest={props.host.latest()} atMs={atMs()} />
      <ProcessTable latest={props.host.latest()} atMs={atMs()} />
      <UnitTable latest={props.host.latest()} atMs={atMs()} />
      <FilesystemTable latest={props.host.latest()} />
      <CustomTable latest={props.host.latest()} />
      <EventTable host={props.id} range={props.range} />
    </div>
  );
}
